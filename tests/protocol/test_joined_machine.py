"""A machine that runs already: the agent's package, a token, adoption, and work, for real.

The server, the command line, the package and apt are real. The machine is a Debian system in a
folder, whose ``/sys`` says what hardware it is.
"""

import hashlib
import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders.agent_root import PackageRoot, debian_tar
from builders.rack_web import PORT, web
from builders.simulated_site import simulated_site

from agent.version import AGENT_VERSION
from tests.unit.agent_sysfs import add_interface, write_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.timeout(600)]

MAC, UUID = "52:54:00:aa:00:07", "4c4c4544-0042-3510-8052-b4c04f4e4a32"
ENTER = """\
mount -t proc proc "$0/proc" && mount --bind "$1" "$0/sys" && shift && exec chroot "$0" "$@"
"""
SERVICE = """\
while true; do
    /usr/sbin/rackwright-agent service
    [ $? = 75 ] || exit  # as the unit's Restart=, but without its pause
done
"""
UPGRADE = """\
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: upgrade}
spec:
  steps:
    - upgradeAgent: {version: "%s-2"}
"""
SCENARIO = """\
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: greet}
spec:
  steps:
    - files: {copy: [{source: files/motd, target: /etc/motd, owner: root, mode: "0600"}]}
    - run: {command: [sh, -c, "echo seen by $(id -un); cp /etc/motd /root/seen"]}
    - packages: {install: [hello]}
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: hello}
spec:
  type: application
  version: "1.0"
  targets: [{family: debian}]
  setup: {by: deb}
  files: [{url: "http://10.77.0.1:%(port)s/hello.deb", sha256: %(sum)s}]
"""
POLICY = """\
---
apiVersion: rackwright/v1alpha1
kind: UpdatePolicy
metadata: {name: always}
spec:
  select: {machines: [web-7]}
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: newer-hello}
spec:
  type: patch
  urgency: highest
  version: "1.1"
  bulletin: CVE-2026-0001
  targets: [{family: debian}]
  setup: {by: deb, package: hello}
  files: [{url: "http://10.77.0.1:%(port)s/newer.deb", sha256: %(sum)s}]
"""
WHY = ("--reason", "to try it")


@pytest.fixture
def hardware(tmp_path):
    """Return a ``/sys`` with one NIC and a board."""
    add_interface(tmp_path / "sys", "ens3", {"address": MAC, "device/vendor": "0x1af4"})
    write_tree(
        tmp_path / "sys/class/dmi/id",
        {"product_uuid": UUID, "product_serial": "5CG8243XYZ", "sys_vendor": "Dell Inc."},
    )
    return tmp_path / "sys"


def a_deb(folder, version="1.0", name="hello.deb"):
    """Make a package with one file; return its SHA-256."""
    tree = folder / f"hello-{version}"
    write_tree(
        tree,
        {
            "DEBIAN/control": f"Package: hello\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: Ada <ada@example.org>\nDescription: says hello\n",
            "usr/share/hello/word": f"hello {version}\n",
        },
    )
    folder.joinpath("web").mkdir(exist_ok=True)
    package = folder / "web" / name
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, package], check=True)
    return hashlib.sha256(package.read_bytes()).hexdigest()


@contextmanager
def service_in(site, root, hardware):
    """Run the installed agent where the server is reached."""
    enter = ["unshare", "--mount", "--fork", "--kill-child", "sh", "-c", ENTER]
    command = [*enter, str(root.folder), str(hardware), "sh", "-c", SERVICE]
    log = (root.folder.parent / "agent.log").open("ab")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    with log:
        # Only the network is the rack's: in its user namespace nothing may be mounted.
        words = site.rack.inside(command)
        inside = [word for word in words if word not in {"--user", "--preserve-credentials"}]
        process = subprocess.Popen(inside, stdout=log, stderr=log, env=environment)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def updates_itself(site, root, folder):
    """What it has by a policy it sees to itself."""
    values = {"port": PORT, "sum": a_deb(folder, "1.1", "newer.deb")}
    (site.fleet / "always.yaml").write_text(POLICY % values, "utf-8")
    site.commit("An urgent fix")
    said = site.run("plan", expect=None)
    assert "policy always has it install newer-hello by itself" in said
    installed = "newer-hello 1.1 (CVE-2026-0001)  1 of 1  have it"
    site.until(lambda: installed in site.run("updates", "status", expect=None), 150)
    assert "hello 1.1" in (root.folder / "usr/share/hello/word").read_text()
    shown = site.run("updates", "show", "web-7")
    assert re.search(r"newer-hello 1.1 +installed +1.0 +1.1", shown)
    assert "policy always" not in site.run("plan", expect=None)


def its_agent_is_exchanged(site, root, folder):
    """Its agent is exchanged for a build that the server has, and stays adopted."""
    (site.fleet / "upgrade.yaml").write_text(UPGRADE % AGENT_VERSION, "utf-8")
    site.commit("A newer agent")
    said = site.run("run", "upgrade", "--on", "web-7", *WHY, "--yes=0", expect=1)
    assert f"RW604: the server has no release {AGENT_VERSION}-2 of the agent" in said
    site.run(
        *("agent", "package", "--format", "tar", "--no-server", "--revision", "2"),
        *("--out", str(folder), "--cache", str(Path(".cache/agent-package").absolute())),
    )
    (archive,) = folder.glob("*.tar.gz")
    assert f"{AGENT_VERSION}-2 x86_64" in site.run("agent", "release", "add", str(archive))
    assert f"{AGENT_VERSION}-2 " in site.run("agent", "release", "ls")
    said = site.run("run", "upgrade", "--on", "web-7", *WHY, "--yes=0")
    assert f"upgrades the agent to {AGENT_VERSION}-2" in said
    version = root.run("rackwright-agent", "version").stdout
    assert f"(package {AGENT_VERSION}-2, " in version
    assert (root.folder / "opt/rackwright-agent/current").readlink().name.endswith("-1")


def test_a_machine_that_runs_already_joins_is_adopted_and_is_worked_on(
    tmp_path, keep_consoles, hardware
):
    root = PackageRoot(tmp_path / "root", debian_tar("bookworm"))
    values = {"port": PORT, "sum": a_deb(tmp_path)}
    with (
        simulated_site(tmp_path, keep_consoles, 1) as site,
        web(site.rack.inside, tmp_path / "web"),
    ):
        said = site.run(
            *("agent", "package", "--format", "deb", "--out", str(tmp_path)),
            *("--cache", str(Path(".cache/agent-package").absolute())),
        )
        (package,) = tmp_path.glob("*.deb")
        assert "https://10.77.0.1:8443" in said
        shutil.copy(package, root.folder / "root")
        root.run("apt-get", "--quiet=2", "--yes", "install", f"/root/{package.name}")

        made = json.loads(
            site.run(*("agent", "token", "new", "--group", "simulated", *WHY), "--format", "json")
        )
        root.write("etc/rackwright/token", made["token"], 0o600)
        root.write("etc/hostname", "web-7")
        (keep_consoles / "agent.log").symlink_to(tmp_path / "agent.log")
        with service_in(site, root, hardware):
            site.until(lambda: MAC in site.run("adopt"))
            assert not root.exists("etc/rackwright/token")
            said = site.run("adopt", MAC, "--name", "web-7")
            assert "web-7" in said
            (site.fleet / "greet.yaml").write_text(SCENARIO % values, "utf-8")
            (site.fleet / "files").mkdir()
            (site.fleet / "files/motd").write_text("a new day\n", "utf-8")
            site.commit("A machine that runs already, and work for it")

            # It belongs to its machine from its next report on.
            site.until(lambda: "in installed" in site.run("get", "machine", "web-7"), 90)
            said = site.run("run", "greet", "--on", "web-7", *WHY, "--yes=0")
            assert "installs hello" in said
            runs = json.loads(site.run("runs", "--format", "json"))["runs"]
            run = next(each["run"] for each in runs if each["scenarios"] == ["greet"])
            shown = site.run("runs", "show", run)
            assert (root.folder / "etc/motd").read_text() == "a new day\n", shown
            assert (root.folder / "root/seen").read_text() == "a new day\n", shown
            assert "seen by root" in shown
            assert "hello  installed  1.0" in shown
            assert (root.folder / "usr/share/hello/word").exists()
            assert not root.exists("var/lib/rackwright/fetched")
            assert re.search(r"web-7 +valid .* ago", site.run("agent", "ls"))
            site.until(lambda: "web-7" in site.run("inventory", "search", "hello", expect=None), 90)

            updates_itself(site, root, tmp_path)
            its_agent_is_exchanged(site, root, tmp_path)

            # Revoked by its machine's name, it is refused at its next request.
            site.run("agent", "revoke", "web-7", *WHY)
            site.until(lambda: "RW520" in (tmp_path / "agent.log").read_text("utf-8"))
