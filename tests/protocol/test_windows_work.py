"""Work of a real server on a Windows: the service of the agent, the command line, MSIs, Wine.

The server and the programs of Windows are in one network namespace.
"""

import hashlib
import json
from contextlib import contextmanager

import pytest
from builders.rack_web import web
from builders.simulated_site import simulated_site
from builders.windows_agent import CACHE
from builders.wine import WineWindows, make_msi

from agent.commands.windows import msiexec, sc
from agent.commands.windows.ipconfig import macs
from agent.config import AgentConfig, load_config, save_config
from agent.windows.applications import find_application, read_applications
from agent.windows.installation import FOLDER, SETTINGS
from agent.windows.installers import MsiInstaller
from agent.windows.live_registry import read_key, read_keys
from agent.windows_service import NAME, TITLE

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(240)]

SERVER = "https://10.77.0.1:8443"
WHY = ("--reason", "to try it")
PACKAGE = """\
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: %(name)s}
spec:
  type: application
  version: "1.0.0"
  targets: [{family: windows}]
  setup: {by: msi%(more)s}
  files: [{url: "http://10.77.0.1:8099/%(file)s", sha256: %(sum)s}]
"""
POLICY = """\
---
apiVersion: rackwright/v1alpha1
kind: UpdatePolicy
metadata: {name: always}
spec:
  select: {machines: [desk-7]}
  packages: [gadget]
  checks: {onUrgency: low}
"""
SCENARIO = """\
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: %s}
spec:
  steps:
%s"""
WORK = r"""    - files:
        copy: [{source: files, target: 'C:\Tools\Probe'}]
        remove: ['C:\Tools\old.txt']
    - run: {command: [cmd.exe, /c, 'type C:\Tools\Probe\motd & exit 3010'], success: [3010]}
    - packages: {install: [tool]}
"""
MACHINE = """\
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: desk-7}
spec:
  group: simulated
  hardware: {macs: ["%s"]}
"""


@contextmanager
def windows_in(site, folder):
    """Start a Windows where the server is reached."""
    windows = WineWindows(folder / "wine/prefix", tuple(site.rack.inside([])))
    staying = windows.start()
    try:
        yield windows
    finally:
        windows.stop(staying)


def package(folder, name, number, **more):
    """Make a package of Windows Installer; return its document."""
    file = f"{name}-1.0.msi"
    made = make_msi(folder, file, name.capitalize(), number, family=name[0].upper(), **more)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    software = f", package: {name.capitalize()}, arguments: ['GREETING=good day']"
    return PACKAGE % {"name": name, "file": file, "sum": digest, "more": software}


def write_fleet(site, packages, mac):
    """Commit the machine, its packages and its work."""
    (site.fleet / "work.yaml").write_text(
        package(packages, "tool", 300)
        + package(packages, "broken", 301, condition="0")
        + SCENARIO % ("work", WORK)
        + SCENARIO % ("breaks", "    - packages: {install: [broken, tool]}\n")
        + MACHINE % mac,
        "utf-8",
    )
    (site.fleet / "files/deep").mkdir(parents=True)
    (site.fleet / "files/motd").write_text("hello", "utf-8")
    (site.fleet / "files/deep/tool.ini").write_text("a=b", "utf-8")
    site.commit("A Windows machine, and work for it")


def install_by_policy(site, packages, windows):
    """Have an update policy bring a package; the machine sees to it by itself."""
    (site.fleet / "always.yaml").write_text(POLICY + package(packages, "gadget", 302), "utf-8")
    site.commit("What the machine always has")
    shown = "gadget 1.0.0  1 of 1  have it"
    site.until(lambda: shown in site.run("updates", "status", expect=None), 150)
    assert find_application(windows, "Gadget").version == "1.0.0"


def its_inventory_is_known(site):
    site.until(lambda: "desk-7" in site.run("inventory", "search", "tool", expect=None), 90)
    shown = site.run("inventory", "show", "desk-7", "--full")
    for words in ("Spooler", "RackwrightAgent", "KB", "Tool 1.0.0 Example"):
        assert words in " ".join(shown.split())


def agent_package(site, folder, revision):
    """Build the package of the agent that knows the server."""
    options = ("--cache", str(CACHE), "--out", str(folder), "--revision", str(revision))
    said = site.run("agent", "package", "--format", "msi", *options)
    assert SERVER in said
    return next(folder.glob(f"*-{revision}-x64.msi"))


def install(windows, package, *properties):
    """Have Windows Installer install a package; return its log."""
    log = windows.scratch / "install.log"
    argv = msiexec.install_arguments(windows.native(package), windows.native(log), properties)
    assert windows.run(argv, timeout=120).status == 0
    said = log.read_bytes().replace(b"\0", b"").decode("utf-8", "replace")
    log.unlink()
    return said


def plant(windows):
    """Have a user of Windows put what looks like an agent's where every user may."""
    planted = windows.drive / "ProgramData/Rackwright"
    (planted / "state").mkdir(parents=True)
    config = AgentConfig("https://10.77.0.66:8443", "66" * 32, "theirs", "", "")
    save_config(planted / "agent.json", config)
    for name in ("token", "state/agent.key", "state/agent.crt"):
        (planted / name).write_text("theirs", "ascii")


def installed(windows):
    """Return what an installation of the agent would leave or change, the tool left out."""
    folders = [windows.drive / "Program Files", windows.drive / "ProgramData"]
    names = {path.name for folder in folders for path in folder.iterdir()} - {
        "Rackwright",
        "Tool",
        "Gadget",
    }
    left = [path for folder in folders for path in (folder / "Rackwright").glob("**/*")]
    files = {path: path.read_bytes() for path in left if path.is_file()}
    keys = read_keys(windows, SETTINGS), sc.query(windows, NAME)
    found = {each.name for each in read_applications(windows)} - {"Tool", "Gadget"}
    return names, left, files, keys, found


def test_a_windows_machine_does_all_kinds_of_work_and_says_what_became_of_it(
    tmp_path, keep_consoles
):
    packages = tmp_path / "web"
    with (
        simulated_site(tmp_path, keep_consoles, 1) as site,
        web(site.rack.inside, packages),
        windows_in(site, tmp_path) as windows,
    ):
        write_fleet(site, packages, next(iter(macs(windows))))
        data = windows.local(FOLDER)
        plant(windows)
        (keep_consoles / "agent.log").symlink_to(data / "agent.log")
        made = json.loads(site.run("agent", "token", "new", *WHY, "--format", "json"))
        token = windows.scratch / "token.txt"
        token.write_text(made["token"], "ascii")
        before = installed(windows)
        package = agent_package(site, tmp_path, 1)
        said = install(windows, package, r"TOKENFILE=C:\scratch\token.txt")
        assert r"C:\scratch\token.txt" in said
        assert made["token"] not in said
        site.until(lambda: not token.exists())
        site.until(lambda: "in installed" in site.run("get", "machine", "desk-7"))

        def run(name, status=0):
            site.run("run", name, "--on", "desk-7", *WHY, "--yes=0", expect=status)
            runs = json.loads(site.run("runs", "--format", "json"))["runs"]
            newest = next(each["run"] for each in runs if each["scenarios"] == [name])
            return site.run("runs", "show", newest)

        tools = windows.drive / "Tools"
        tools.mkdir()
        (tools / "old.txt").write_text("older", "utf-8")
        shown = run("work")
        assert "    hello\n" in shown
        assert "tool  installed  1.0.0" in shown
        assert (tools / "Probe/deep/tool.ini").read_text("utf-8") == "a=b"
        assert not (tools / "old.txt").exists()
        (kept,) = (data / "state/files").iterdir()
        assert (kept / "C/Tools/old.txt").read_text("utf-8") == "older"
        assert find_application(windows, "Tool").version == "1.0.0"
        assert read_key(windows, r"HKLM\Software\Example\Tool").text("Greeting") == "good day"

        known = load_config(data / "agent.json")
        assert (known.server, known.machine, known.token) == (SERVER, "desk-7", "")
        install(windows, agent_package(site, tmp_path, 2))
        assert load_config(data / "agent.json") == known
        assert sc.query(windows, NAME).state == sc.RUNNING
        assert "tool  present  1.0.0" in run("work")

        shown = " ".join(run("breaks", 1).split())
        assert "RW593: 1 of 2 packages are not there: broken. RW230: broken was not" in shown
        assert "(ERROR_INSTALL_FAILURE, 1603): the action LaunchConditions failed" in shown
        assert "Property(S): ACTION = INSTALL" in shown  # the end of the installer's log
        assert "tool present 1.0.0" in shown
        assert not (data / "state/fetched").exists()

        install_by_policy(site, packages, windows)
        its_inventory_is_known(site)

        # A removal leaves nothing but what it installed for others, and uses no planted file.
        assert made["token"] not in (data / "agent.log").read_text("utf-8")
        assert MsiInstaller(windows).remove(TITLE, 120).status == 0
        assert installed(windows) == before
