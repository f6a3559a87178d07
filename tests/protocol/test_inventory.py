"""Inventories of real systems by real programs, and on their way over the server's own API."""

import asyncio
import gzip
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders.inventories import a_package, an_inventory

from agent.clock import Clock
from agent.errors import MissingCommandError, TerminalError
from agent.inspection.host_paths import HostPaths
from agent.inventory.collector import gather
from agent.inventory.duty import InventoryChannel, InventoryDuty, send_inventory
from agent.inventory.kept_inventory import KeptInventory
from agent.inventory.linux import LinuxCollector
from agent.transport import PinnedServer, Transport
from agent.wire.inventory import Package, Update
from agent.wire.inventory_changes import digest_of, rows_of
from reconciler.state.inventories import Inventories
from tests.protocol.test_agent_reports import NODE, OTHER, Server, serving
from tests.unit.virtual_time import VirtualTime

pytestmark = pytest.mark.timeout(120)

SPEC = """\
Name: {name}
Version: {version}
Release: 1
Epoch: 2
Summary: A package
License: MIT
Vendor: Somebody
BuildArch: noarch
%description
A package.
%files
"""


def run(*argv: str | Path, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [str(each) for each in argv],
        cwd=cwd,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def deb(folder: Path, name: str, version: str, source: str = "") -> Path:
    tree = folder / f"{name}-{version.replace(':', '_')}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\n"
        f"Origin: Somebody\nDescription: A package\n" + (f"Source: {source}\n" if source else "")
    )
    path = folder / f"{tree.name}.deb"
    run("dpkg-deb", "--build", "--root-owner-group", tree, path)
    return path


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """Return a root with its own dpkg database, and a repository that has newer versions."""
    root, pool = tmp_path / "root", tmp_path / "pool"
    for each in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "var/lib/apt/lists/partial"):
        (root / each).mkdir(parents=True)
    for each in ("etc/apt/preferences.d", "etc/apt/apt.conf.d", "var/cache/apt", "var/log/apt"):
        (root / each).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n')
    pool.mkdir()
    old = [
        deb(tmp_path, "tool", "1:1.0-1", "tools (1:1.0-0)"),
        deb(tmp_path, "kept", "1.0-1"),
        deb(tmp_path, "same", "1.0-1"),
    ]
    database = f"--root={root}"
    run("dpkg", database, "--force-not-root", "--install", *old)
    subprocess.run(
        ["dpkg", database, "--set-selections"], input="kept hold\n", text=True, check=True
    )
    deb(pool, "tool", "1:1.0-2", "tools")
    deb(pool, "kept", "2.0~rc1-1")
    deb(pool, "same", "1.0-1")
    (pool / "Packages").write_text(run("dpkg-scanpackages", "--multiversion", ".", cwd=pool))
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{pool} ./\n")
    return root


def fetched(root: Path) -> LinuxCollector:
    """Return the collector of a root whose apt has fetched its lists."""
    options = ["-o", f"Dir={root}", "-o", "APT::Sandbox::User=root"]
    run("apt-get", *options, "update")
    return LinuxCollector(HostPaths(root=root))


def test_a_debian_system_says_what_is_installed_and_what_is_pending(debian: Path) -> None:
    inventory = gather(fetched(debian))
    assert inventory["packages"] == (
        Package("kept", "all", "1.0-1", "kept", "1.0-1", "Somebody", "deb"),
        Package("same", "all", "1.0-1", "same", "1.0-1", "Somebody", "deb"),
        Package("tool", "all", "1:1.0-1", "tools", "1:1.0-0", "Somebody", "deb"),
    )
    found = [
        (each.name, each.architecture, each.installed, each.available, each.held)
        for each in inventory["updates"]
        if isinstance(each, Update)
    ]
    assert found == [
        ("kept", "all", "1.0-1", "2.0~rc1-1", True),
        ("tool", "all", "1:1.0-1", "1:1.0-2", False),
    ]
    assert inventory["problems"] == ()
    assert "services" not in inventory, "those of the machine that inspects are not its own"


def test_without_lists_it_is_not_known_what_is_pending(debian: Path) -> None:
    inventory = gather(LinuxCollector(HostPaths(root=debian)))
    assert "updates" not in inventory
    assert len(inventory["packages"]) == 3


def test_packages_that_changed_are_noticed(debian: Path) -> None:
    collector = LinuxCollector(HostPaths(root=debian))
    before = collector.state()
    assert collector.state() == before
    run("dpkg", f"--root={debian}", "--force-not-root", "--remove", "same")
    assert collector.state() != before
    newer = gather(collector)
    assert [each.name for each in newer["packages"] if isinstance(each, Package)] == [
        "kept",
        "tool",
    ]


@pytest.fixture
def rpm_system(tmp_path: Path) -> Path:
    """Return a root with its own rpm database, and a repository that has a newer version."""
    root, pool = tmp_path / "root", tmp_path / "pool"
    (root / "var/lib/rpm").mkdir(parents=True)
    (root / "root").mkdir()
    (root / "root/.rpmdb").symlink_to("../var/lib/rpm")  # where Debian's rpm and dnf look
    pool.mkdir()
    for name, version in (("tool", "1.0"), ("same", "1.0"), ("tool", "1.1")):
        spec = tmp_path / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, version=version))
        run(
            "rpmbuild", "-bb", "--define", f"_topdir {tmp_path / 'build'}", spec, HOME=str(tmp_path)
        )
    built = tmp_path / "build/RPMS/noarch"
    install = ("rpm", f"--root={root}", "--dbpath=/var/lib/rpm", "--nodeps", "--install")
    run(*install, built / "tool-1.0-1.noarch.rpm", built / "same-1.0-1.noarch.rpm")
    (built / "tool-1.1-1.noarch.rpm").rename(pool / "tool-1.1-1.noarch.rpm")
    run("createrepo_c", pool)
    return root


def test_an_rpm_system_says_what_is_installed(rpm_system: Path) -> None:
    collector = LinuxCollector(HostPaths(root=rpm_system))
    assert gather(collector)["packages"] == (
        Package("same", "noarch", "2:1.0-1", "same", "1.0-1", "Somebody", "rpm"),
        Package("tool", "noarch", "2:1.0-1", "tool", "1.0-1", "Somebody", "rpm"),
    )
    assert any(collector.state())


def test_dnf_says_what_is_pending_from_what_it_fetched(rpm_system: Path, tmp_path: Path) -> None:
    repos = rpm_system / "etc/yum.repos.d"
    repos.mkdir(parents=True)
    (repos / "local.repo").write_text(
        f"[local]\nname=local\nbaseurl=file://{tmp_path / 'pool'}\nenabled=1\ngpgcheck=0\n"
    )
    run("dnf", f"--installroot={rpm_system}", "--releasever=1", "--quiet", "makecache")
    inventory = gather(LinuxCollector(HostPaths(root=rpm_system)))
    assert inventory["updates"] == (
        Update("tool", "noarch", "2:1.0-1", "2:1.1-1", "local", held=False),
    ), inventory["problems"]


def test_a_duty_sends_after_the_start_each_hour_and_after_packages_changed(tmp_path: Path) -> None:
    class FakeCollector:
        """A system whose packages change when the test says so."""

        packages = 1

        def sections(self):
            return {"packages": lambda: [a_package("bash", str(self.packages))]}

        def state(self):
            return (self.packages,)

    time, collector, sent = VirtualTime(), FakeCollector(), []

    def send(report) -> str:
        sent.append(report)
        return report.digest

    clock = Clock(monotonic=time, chance=lambda: 0.5)
    duty = InventoryDuty(collector, KeptInventory(tmp_path / "inventory"), send, clock)

    def after(seconds: float) -> int:
        time.now += seconds
        duty.turn()
        duty.join(20)
        return len(sent)

    assert after(0) == 0
    assert after(31) == 1
    assert after(1800) == 1
    assert after(1700) == 2
    assert (sent[1].base, sent[1].changes) == (sent[0].digest, ())
    collector.packages = 2
    assert after(10) == 2
    assert after(31) == 3, "half a minute after the last change"
    assert len(sent[2].changes) == 1


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, NODE, OTHER) as found:
        yield found


async def test_an_installed_agent_brings_its_inventory_and_then_what_changed(
    server: Server, tmp_path: Path
) -> None:
    transport = Transport(server.url, PinnedServer(server.pin), await server.enrolled(NODE))
    kept, channel = KeptInventory(tmp_path / "kept"), InventoryChannel(transport)
    first = an_inventory(*(a_package(f"package-{number}") for number in range(1200)))
    second = an_inventory(*(a_package(f"package-{number}") for number in range(1, 1201)))
    try:
        for each in (first, second, second):
            assert await asyncio.to_thread(send_inventory, each, kept, channel)
            found = Inventories(server.database).sections(NODE.hardware_identity)
            assert found == rows_of(each)
    finally:
        transport.close()
    (head,) = Inventories(server.database).heads()
    assert (head.machine, head.packages, head.updates) == (NODE.name, 1200, 0)
    assert (datetime.now(UTC) - head.at).total_seconds() < 60


async def test_only_agents_of_installed_systems_bring_inventories_and_only_valid_ones(
    server: Server,
) -> None:
    trust = PinnedServer(server.pin)
    ramdisk = Transport(server.url, trust, await server.enrolled(NODE, "deploy-os"))
    nobody = Transport(server.url, trust)
    installed = Transport(server.url, trust, await server.enrolled(NODE))
    body = gzip.compress(b"{}")
    for transport, said in (
        (ramdisk, "RW531 this call needs an agent's client certificate"),
        (nobody, "RW531 this call needs an agent's client certificate"),
        (installed, "RW250 the inventory is not valid: not a InventoryReport"),
    ):
        with pytest.raises(TerminalError) as refused:
            await asyncio.to_thread(transport.send, "POST", "/v1/inventory", body)
        assert said in refused.value.cause
    with pytest.raises(TerminalError) as refused:
        await asyncio.to_thread(installed.send, "POST", "/v1/inventory", bytes(3 << 20))
    assert "RW250 the inventory has more than 2097152 bytes" in refused.value.cause
    for transport in (ramdisk, nobody, installed):
        transport.close()
    assert Inventories(server.database).heads() == ()


def test_a_system_without_a_known_package_manager_has_no_packages_section(tmp_path: Path) -> None:
    collector = LinuxCollector(HostPaths(root=tmp_path))
    with pytest.raises(MissingCommandError):
        list(collector.sections()["packages"]())
    found = gather(collector)
    assert "packages" not in found
    assert digest_of(found) != digest_of({})
