"""The agent as a service of a Windows that is Wine's, with the Python made for Windows."""

import pytest
from builders.windows_agent import put_agent

from agent.clock import Clock
from agent.commands.windows import sc
from agent.config import AgentConfig, load_config, save_config
from agent.version import AGENT_VERSION
from agent.windows import services
from agent.windows.file_version import file_version
from agent.windows.installation import FOLDER, STATE
from agent.windows_service import NAME, TITLE, command_line
from agent.wire.files import PlacedFile
from agent.wire.step import PlaceFiles, Run
from agent.wire.work import Work
from tests.protocol.agent_control_plane import FakeControlPlane


def command(*words, timeout=60, silence=60, session="service"):
    return Run(words, (0,), timeout, silence, session)


ENDED = ("done", "failed")
STEPS = (
    command("cmd.exe", "/c", "ping.exe -n 300 127.0.0.1", timeout=2),
    command("cmd.exe", "/c", "echo Continue? & ping.exe -n 300 127.0.0.1 >nul", silence=2),
    command("cmd.exe", "/c", "start /b ping.exe -n 3 127.0.0.1 & echo first"),
    command("none.exe"),
    command("notepad.exe", session="user"),
    PlaceFiles(files=(PlacedFile(r"C:\Tools", "folder", 0o755),), remove=(r"C:\Windows",)),
    PlaceFiles(remove=("/etc/motd",)),
    PlaceFiles(remove=(r"C:\Windows\System32",)),
    PlaceFiles(remove=(STATE,)),
)

SAID = (
    (
        "RW591: `cmd.exe /c 'ping.exe -n 300 127.0.0.1'` did not end within 2 s and was "
        "ended with all that it started"
    ),
    (
        "RW592: `cmd.exe /c 'echo Continue? & ping.exe -n 300 127.0.0.1 >nul'` wrote "
        "nothing and used no processor for 2 s: it waits for an answer that nobody gives, "
        "and was ended; it wrote last: Continue?"
    ),
    ": ",
    "RW566: the command none.exe does not exist here",
    (
        f"RW227: `notepad.exe` shall run in the user's session, where the agent "
        f"{AGENT_VERSION} starts no program on Windows"
    ),
    r"RW229: C:\Tools shall have an owner, a group or a mode, which Windows has not",
    "RW228: /etc/motd is no path of this system, which is win32",
    (
        r"RW596: C:\Windows\System32 is a part of the system, or something is mounted in it: "
        r"it is not removed"
    ),
    f"RW596: {STATE} is a part of the system, or something is mounted in it: it is not removed",
)


@pytest.fixture(scope="module")
def program(windows, tmp_path_factory):
    """The folder with Python and the agent, as it would be installed."""
    return put_agent(windows, tmp_path_factory.mktemp("agent"))


def test_python_says_its_version_and_the_agent_its_own(windows, program):
    assert file_version(program / "python.exe").startswith("3.11.9")
    done = windows.run([windows.native(program / "python.exe"), "-m", "agent", "--version"])
    assert (done.status, done.stdout.strip()) == (0, AGENT_VERSION.encode())


def test_the_agent_s_service_program_says_that_nobody_started_it_as_a_service(windows, program):
    python = windows.native(program / "python.exe")
    options = ["--config", "a", "--state", "b", "--log", r"C:\scratch\agent.log"]
    done = windows.run([python, "-m", "agent.windows_service", *options])
    assert done.status == 3
    log = (windows.scratch / "agent.log").read_text("utf-8")
    (windows.scratch / "agent.log").unlink()
    assert log.endswith(
        "RW238: the agent cannot run as a Windows service: it was not started as a service. "
        "Start it with sc start, or run `agent service` in a console.\n"
    )


BEGINS = r"""
import os, threading
from pathlib import Path
from agent.commands.supervised import run_supervised
command = ["cmd.exe", "/c", "ping.exe -n 8 127.0.0.1 >nul & echo done> C:\\scratch\\installed"]
begins = threading.Event()
options = {"timeout": 60, "lock": Path("C:/scratch/lock"), "check": begins.set}
threading.Thread(target=run_supervised, args=(command,), kwargs=options, daemon=True).start()
begins.wait(30)
os._exit(9)
"""
WAITS = r"""
import subprocess, sys, time
from pathlib import Path
from agent.commands.supervised import wait_for_others
lock, made = Path("C:/scratch/lock"), Path("C:/scratch/installed")
nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
print(subprocess.run([sys.executable, "-m", "begins"], **nothing).returncode)
print(wait_for_others(lock, 0, time.sleep), made.exists())
print(wait_for_others(lock, 60, time.sleep), made.exists())
lock.unlink()
made.unlink()
"""


def test_an_installer_goes_on_without_the_agent_that_began_it_and_is_waited_for(windows, program):
    for name, text in (("begins.py", BEGINS), ("waits.py", WAITS)):
        (program / "lib" / name).write_text(text, "ascii")
    done = windows.run([windows.native(program / "python.exe"), "-m", "waits"])
    assert done.stdout.split() == [b"9", b"False", b"False", b"True", b"True"]


def test_the_service_enrolls_reports_and_stops_when_it_is_told(windows, program, tmp_path):
    plane = FakeControlPlane(tmp_path)
    plane.up()
    plane.add_token("t-1", "node-1")
    data = windows.local(FOLDER)
    data.mkdir(parents=True)
    save_config(data / "agent.json", AgentConfig(plane.url, plane.pin, "t-1", "", ""))
    line = command_line(
        windows.native(program / "pythonw.exe"),
        *(windows.native(data / name) for name in ("agent.json", "state", "agent.log")),
    )
    try:
        services.install_service(windows, NAME, line, TITLE)
        services.start_service(windows, NAME, Clock(), 60)
        plane.wait_for(lambda: bool(plane.reports), 60)
        operations = [
            plane.arm("node-1", Work(f"op-{number}", 1, (step,)))
            for number, step in enumerate(STEPS)
        ]
        plane.wait_for(lambda: all(each.state in ENDED for each in operations), 90)
        services.stop_service(windows, NAME, Clock(), 60)
        assert sc.query(windows, NAME).exit_status == 0
    finally:
        services.remove_service(windows, NAME, Clock(), 60)
        plane.down()
    said = [f"{each.events[-1].code}: {each.events[-1].message}" for each in operations]
    assert said == [*SAID]
    said = [each.result["output"] for each in operations[2].events if "output" in each.result]
    assert said[0].startswith("first")
    assert not (windows.drive / "Tools").exists()
    report = plane.reports[0]
    assert len(report.hardware.macs) >= 1
    assert len(report.hardware.uuid) == 36
    assert len(report.installed.machine_id) == 36
    assert report.installed.kernel.count(".") == 3
    assert load_config(data / "agent.json") == AgentConfig(plane.url, plane.pin, "", "", "node-1")
    assert b"BEGIN PRIVATE KEY" in (data / "state/agent.key").read_bytes()
    log = (data / "agent.log").read_text("utf-8")
    assert "INFO agent.enroll: enrolled machine=node-1" in log
    assert "t-1" not in log
