"""Supervised programs: all that they start is waited for, read, and ended when it has to be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.commands.ended import Ended
from agent.commands.supervised import launcher, run_supervised, wait_for_others
from agent.commands.supervisor import cpu_use, last_line, members_of
from agent.errors import CommandError, FencedError, MissingCommandError

ROOT = Path(__file__).parents[2]


def shell(script: str, **more) -> Ended:
    return run_supervised(["sh", "-c", script], **{"timeout": 50, **more})


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_status_and_the_end_of_both_streams_come_back():
    ended = shell("echo one; echo two >&2; exit 7")
    assert (ended.status, ended.output, ended.why, ended.last_line) == (7, "one\ntwo\n", "", "two")


def test_much_output_neither_blocks_nor_fills_the_memory():
    pieces = []
    ended = shell(
        "head -c 3000000 /dev/zero | tr '\\0' a\n"
        "head -c 3000000 /dev/zero | tr '\\0' b >&2; echo end",
        on_output=lambda piece: pieces.append(len(piece)),
    )
    assert len(ended.output) <= sum(pieces) <= 6_000_004  # a slow reader does not get all of it
    assert len(ended.output) == 16 << 10
    assert ended.output.endswith("bbb" + "end\n")


def test_a_signal_is_told_from_a_status():
    assert shell("kill -9 $$").status == -9


def test_what_a_program_leaves_in_the_background_is_waited_for():
    ended = shell("(sleep 0.7; echo late) & setsid sh -c 'sleep 0.8; echo later' & exit 3")
    assert (ended.status, ended.output) == (3, "late\nlater\n")


def test_or_left_alone_where_that_is_asked_for(tmp_path):
    ended = shell(f"sleep 30 & echo $! > {tmp_path}/pid", wait_for_all=False)
    left = int((tmp_path / "pid").read_text())
    assert ended.seconds < 10
    assert is_running(left)
    os.kill(left, signal.SIGKILL)


def test_after_its_time_all_is_ended_whatever_it_ignores(tmp_path):
    deaf = "trap '' TERM HUP INT; while :; do sleep 0.1; done"
    ended = shell(f'setsid sh -c "echo \\$\\$ > {tmp_path}/pid; {deaf}" & {deaf}', timeout=1)
    assert (ended.status, ended.why) == (None, "timed-out")
    assert "sh" in ended.left_behind
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_a_program_that_ended_itself_keeps_its_status_when_the_rest_is_ended():
    ended = shell("sleep 30 & exit 0", timeout=1)
    assert (ended.status, ended.why, ended.left_behind) == (0, "timed-out", ("sleep",))


def test_a_program_that_waits_for_somebody_is_recognised_by_its_silence():
    ended = shell("printf 'Licence? [y/n] '; sleep 30; echo not reached", silence=1)
    assert (ended.status, ended.why, ended.prompt) == (None, "silent", "Licence? [y/n]")


def test_a_program_that_works_without_a_word_is_not_silent():
    script = "import time\nend = time.monotonic() + 2.5\nwhile time.monotonic() < end: pass"
    ended = run_supervised([sys.executable, "-c", script], timeout=50, silence=1)
    assert (ended.status, ended.why) == (0, "")


def test_nobody_can_be_asked():
    ended = shell('read word; echo "read:$word"; (: < /dev/tty) 2>&1 || echo no terminal')
    assert ended.output.splitlines()[0] == "read:"
    assert ended.output.splitlines()[-1] == "no terminal"


def test_what_is_not_there_or_cannot_be_started_is_an_error(tmp_path):
    with pytest.raises(MissingCommandError):
        run_supervised(["no-such-program"], timeout=9)
    (tmp_path / "plain").write_text("text")
    with pytest.raises(CommandError, match="plain cannot be started: Permission denied"):
        run_supervised([str(tmp_path / "plain")], timeout=9)
    with pytest.raises(CommandError, match="away is not there"):
        run_supervised(["true"], timeout=9, cwd=tmp_path / "away")


def test_a_check_that_raises_ends_the_program(tmp_path):
    def check() -> None:
        if (tmp_path / "pid").exists():
            raise FencedError("RW554", "another attempt took over", "Nothing")

    begun = time.monotonic()
    with pytest.raises(FencedError):
        shell(f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 50", check=check)
    assert time.monotonic() - begun < 30
    assert not is_running(int((tmp_path / "pid").read_text()))


def test_the_environment_is_what_is_given_and_no_more(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "x")
    ended = shell("env", environment={"WORD": "here"})
    names = {line.partition("=")[0] for line in ended.output.splitlines()}
    assert names <= {"WORD", "LC_ALL", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}
    assert "WORD=here" in ended.output


def test_nothing_given_to_a_program_stands_in_the_supervisors_command_line():
    ended = shell("cat /proc/$PPID/cmdline", environment={"WORD": "hidden"})
    assert "hidden" not in ended.output
    assert "supervisor.py" in ended.output


def test_the_program_gets_default_signals_and_no_descriptor_of_the_supervisor(tmp_path):
    earlier = signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as a starter may have left it
    try:
        ended = shell("grep SigIgn /proc/$$/status; ls /proc/$$/fd", lock=tmp_path / "lock")
    finally:
        signal.signal(signal.SIGQUIT, earlier)
    ignored = int(ended.output.split()[1], 16)
    # Signals 32 and 33 are the C library's own: no program can set them, nor set them back.
    assert [number for number in signal.valid_signals() if ignored >> (number - 1) & 1] == []
    assert ended.output.split()[2:] == ["0", "1", "2"]


def test_an_installer_outlives_its_agent_and_holds_the_lock(tmp_path):
    lock = tmp_path / "lock"
    program = (
        "import sys; from pathlib import Path; from agent.commands.supervised import *;"
        f"run_supervised(['sh', '-c', 'cd {tmp_path}; touch begun; sleep 1.5; seq 100000;"
        f" touch done'], timeout=50, lock=Path('{lock}'))"
    )
    agent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    while not (tmp_path / "begun").exists():
        assert agent.poll() is None
        os.sched_yield()
    agent.kill()
    agent.wait()
    assert not wait_for_others(lock, 0, time.sleep)
    assert wait_for_others(lock, 30, time.sleep)
    assert (tmp_path / "done").exists()


def test_the_processes_below_one_are_found_with_their_use_of_the_processor():
    process = subprocess.Popen(["sh", "-c", "sleep 30 & wait"])
    try:
        while len(members_of(process.pid)) < 1:
            os.sched_yield()
        ticks, members = cpu_use(process.pid)
        assert len(members) == 1
        assert ticks >= 0
    finally:
        for member in members_of(process.pid):
            os.kill(member, signal.SIGKILL)
        process.kill()
        process.wait()


def test_the_last_line_is_the_last_with_something_on_it():
    assert last_line(b"one\n two \xff\n\n  \n") == "two \ufffd"
    assert last_line(b"") == ""


def test_an_installer_leaves_the_service_of_the_agent(tmp_path):
    service = {"INVOCATION_ID": "0f"}
    assert launcher(service, tmp_path) == []
    (tmp_path / "systemd/system").mkdir(parents=True)
    assert launcher({}, tmp_path) == []
    assert launcher(service, tmp_path)[0] == "nsenter"
    (tmp_path / "dbus").mkdir()
    (tmp_path / "dbus/system_bus_socket").touch()
    assert launcher(service, tmp_path)[0] == "systemd-run"
