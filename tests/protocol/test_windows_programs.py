"""The agent's Windows side with Wine's programs: a real registry, real services, real MSIs.

What Wine lacks or only pretends is in tests/unit/test_windows_programs.py.
"""

import hashlib
import time

import pytest
from builders.wine import make_msi, product_code, upgrade_code

from agent.clock import Clock
from agent.commands.windows import reg, sc, schtasks, sessions, wmic
from agent.errors import CodedError, CommandError
from agent.inventory.collector import gather
from agent.packages.engine import install_packages
from agent.packages.journal import PackageJournal
from agent.windows import services
from agent.windows.applications import find_application, is_installed, products_of
from agent.windows.file_version import file_version
from agent.windows.installers import ExeInstaller, MsiInstaller, WindowsInstaller
from agent.windows.inventory import WindowsCollector
from agent.windows.live_registry import read_key, read_keys
from agent.windows.registry import children, find
from agent.windows.scheduled_task import ScheduledTask, task_xml
from agent.windows.system import WindowsSystem
from agent.wire.package import (
    CommandSign,
    FileSign,
    PackageFile,
    PackageSign,
    PackageTarget,
    RegistrySign,
    WantedPackage,
)

KEY = r"HKLM\Software\Example"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return tmp_path_factory.mktemp("msi")


def wanted(*files, **more):
    listed = tuple(PackageFile(file.name, "0" * 64, 1) for file in files)
    return WantedPackage(**{"name": "Probe", "adapter": "msi", "files": listed, **more})


def install(windows, file, *arguments):
    package = wanted(file, arguments=arguments)
    installer = MsiInstaller(windows)
    installer.check(package, {file.name: file})
    ended = installer.install(package, {file.name: file})
    return ended, installer.failure(package, ended)


@pytest.fixture
def probe(windows, packages):
    """A product that is installed, and removed afterwards."""
    file = make_msi(packages, "probe-1.0.msi", "Probe", 100)
    ended, error = install(windows, file, "GREETING=good day")
    assert (ended.status, error) == (0, None)
    yield file
    MsiInstaller(windows).remove(upgrade_code("F"), 60)


REGISTRATION = r"""Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\Software\Example]
"Größe 大"="a \"quoted\" 日本 \\ text"
"many"=hex(7):6f,00,6e,00,65,00,00,00,74,00,77,00,6f,00,00,00,00,00
"path"=hex(2):25,00,53,00,79,00,73,00,74,00,65,00,6d,00,52,00,6f,00,6f,00,74,\
  00,25,00,00,00
"count"=dword:0000001f
"bytes"=hex:00,ff,10
@="the default one"

[HKEY_LOCAL_MACHINE\Software\Example\下]
"""


def test_values_of_any_script_come_back_from_the_registry(windows):
    file = windows.scratch / "values.reg"
    file.write_bytes(REGISTRATION.replace("\n", "\r\n").encode("utf-16"))
    assert windows.run(["reg.exe", "import", windows.native(file), "/reg:64"]).status == 0
    file.unlink()
    keys = read_keys(windows, KEY)
    key = find(keys, KEY)
    assert key.text("größe 大") == 'a "quoted" 日本 \\ text'
    assert key.values["many"].data == ("one", "two")
    assert key.text("path") == "%SystemRoot%"
    assert key.number("count") == 31
    assert key.values["bytes"].data == b"\x00\xff\x10"
    assert key.text("") == "the default one"
    assert [child.name for child in children(keys, KEY)] == ["下"]
    reg.add(windows, KEY, "count", "REG_DWORD", "32")
    assert read_key(windows, KEY).number("count") == 32
    assert reg.delete(windows, KEY)
    assert not reg.delete(windows, KEY)
    assert read_key(windows, KEY) is None


def test_the_two_views_of_the_registry_are_apart_and_a_sign_counts_in_either(windows):
    reg.add(windows, KEY, "bits", "REG_SZ", "32", view=32)
    assert read_key(windows, KEY, 64) is None
    assert read_key(windows, KEY, 32).text("bits") == "32"
    system = WindowsSystem(windows)
    assert system.detects(RegistrySign(KEY, "bits", "32"))
    assert not system.detects(RegistrySign(KEY, "bits", "64"))
    assert reg.delete(windows, KEY, 32)
    assert not system.detects(RegistrySign(KEY))


def test_a_package_is_installed_with_its_properties_and_detected(windows, probe):
    assert probe.exists()
    assert (windows.drive / "Program Files/Probe/probe.txt").exists()
    assert read_key(windows, rf"{KEY}\Probe").text("Greeting") == "good day"
    found = find_application(windows, "PROBE")
    assert (found.key, found.version, found.is_msi) == (product_code(100), "1.0.0", True)
    assert products_of(windows, upgrade_code("F")) == (product_code(100),)
    for code in (product_code(100), upgrade_code("F").lower()):
        assert find_application(windows, code) == found
    assert is_installed(windows, "Probe", "1.0")
    assert not is_installed(windows, "Probe", "1.0.1")


def test_a_newer_package_takes_the_place_of_an_older_one_and_not_the_other_way_round(
    windows, packages, probe
):
    newer = make_msi(packages, "probe-1.1.msi", "Probe", 101, version="1.1.0")
    ended, error = install(windows, newer)
    assert (ended.status, error) == (0, None)
    found = find_application(windows, upgrade_code("F"))
    assert (found.key, found.version) == (product_code(101), "1.1.0")
    ended, error = install(windows, probe)
    assert ended.status == 1603
    assert str(error) == (
        "RW230: Probe was not installed: a fatal error ended it (ERROR_INSTALL_FAILURE, 1603): "
        "the action LaunchConditions failed. See the installer's log for the action that failed."
    )
    assert is_installed(windows, "Probe", "1.1.0")


@pytest.mark.usefixtures("probe")
def test_a_product_is_removed_once(windows):
    installer = MsiInstaller(windows)
    assert installer.remove(upgrade_code("F"), 60).status == 0
    assert not is_installed(windows, "Probe")
    assert not (windows.drive / "Program Files/Probe/probe.txt").exists()
    assert installer.remove(upgrade_code("F"), 60) is None
    assert list(windows.scratch.iterdir()) == []


def test_what_is_no_package_is_named(windows, packages):
    broken = packages / "broken.msi"
    broken.write_bytes(b"no package at all")
    ended, error = install(windows, broken)
    assert ended.status in (1620, 1627)  # Windows, Wine
    assert str(error).startswith("RW230: Probe was not installed: ")
    assert f", {ended.status})" in error.cause


def test_a_program_s_whole_status_arrives_and_has_a_meaning(windows):
    installer = ExeInstaller(windows)
    for status, code in ((3010, None), (2359302, None), (-2145124329, "RW232"), (1603, "RW230")):
        package = wanted(adapter="exe", command=("cmd.exe", "/c", "exit", str(status)))
        ended = installer.install(package, {})
        assert ended.status == status & 0xFFFF_FFFF
        error = installer.failure(package, ended)
        assert (error and error.code) == code


def test_an_installer_that_does_not_end_is_ended_with_what_it_started(windows):
    package = wanted(
        adapter="exe", command=("cmd.exe", "/c", "ping.exe", "-n", "300", "127.0.0.1"), timeout=3
    )
    ended = ExeInstaller(windows).install(package, {})
    assert (ended.status, ended.why) == (None, "timed-out")
    deadline = time.monotonic() + 20
    while "ping.exe" in wmic.properties(windows, "Win32_Process", "Name").__str__().lower():
        assert time.monotonic() < deadline


def test_files_count_by_the_version_that_they_say_of_themselves(windows):
    path = r"C:\windows\system32\kernel32.dll"
    found = file_version(windows.local(path))
    system = WindowsSystem(windows)
    assert system.detects(FileSign(path))
    assert system.detects(FileSign(path, found))
    assert not system.detects(FileSign(path, "99.0"))
    assert not system.detects(FileSign(r"C:\windows\none.dll"))
    assert not system.detects(FileSign(r"C:\windows\win.ini", "1.0"))


def test_a_command_is_a_sign_by_status_and_output(windows):
    system = WindowsSystem(windows)
    command = ("cmd.exe", "/c", "echo", "ready")
    assert system.detects(CommandSign(command, output="ready"))
    assert not system.detects(CommandSign(command, status=1))
    assert not system.detects(CommandSign(("none.exe",)))


def test_a_service_is_made_and_removed(windows):
    line = r"C:\windows\system32\svchost.exe -k probe"
    services.install_service(windows, "Probe", line, "A probe")
    key = read_key(windows, r"HKLM\SYSTEM\CurrentControlSet\Services\Probe")
    assert (key.text("ImagePath"), key.number("Start")) == (line, 2)
    assert sc.query(windows, "Probe").state == sc.STOPPED
    assert "Probe" in [each.name for each in services.read_services(windows)]
    services.remove_service(windows, "Probe", Clock(), 10)
    services.remove_service(windows, "Probe", Clock(), 10)
    assert not services.is_service(windows, "Probe")
    assert sc.query(windows, "Probe") is None


def test_a_service_starts_and_stops_and_one_that_does_not_is_named(windows):
    services.start_service(windows, "Spooler", Clock(), 20)
    assert sc.query(windows, "Spooler").state == sc.RUNNING
    services.stop_service(windows, "Spooler", Clock(), 20)
    services.stop_service(windows, "Spooler", Clock(), 20)
    assert sc.query(windows, "Spooler").state == sc.STOPPED
    with pytest.raises(CodedError) as error:
        services._wait_for(windows, "Spooler", (sc.RUNNING,), Clock(), 0)
    assert str(error.value) == (
        "RW236: the service Spooler is in state 1 after 0 s, wanted 4. "
        "See the event log of the machine for the service's own words."
    )


def test_a_task_is_made_from_xml_and_deleted(windows):
    task = ScheduledTask("Upgrades the agent", r"C:\a b\setup.exe", "/quiet & more")
    schtasks.create(windows, r"Rackwright\upgrade", task_xml(task))
    assert schtasks.delete(windows, r"Rackwright\upgrade")
    assert not schtasks.delete(windows, r"Rackwright\upgrade")
    with pytest.raises(CommandError, match="ended with status 1"):
        schtasks.create(windows, r"Rackwright\none", b"\xff\xfeno task")


def test_the_inventory_has_the_system_its_programs_services_and_why_it_waits(windows, probe):
    assert probe.exists()
    collector = WindowsCollector(windows)
    found = gather(collector)
    assert found["problems"] == found["reboot"] == ()
    assert "users" not in found  # which takes quser
    (system,) = found["system"]
    assert (system.os_id, system.architecture) == ("windows", "amd64")
    assert system.kernel.count(".") == 3
    assert system.booted.endswith("+00:00")
    assert [(each.name, each.version, each.architecture) for each in found["applications"]] == [
        ("Probe", "1.0.0", "amd64")
    ]
    assert {"Spooler", "Winmgmt"} <= {each.name for each in found["services"]}
    before = collector.state()
    (windows.drive / "Program Files/Another").mkdir()
    assert collector.state() != before


def test_wine_has_neither_quser_nor_msg_and_that_is_no_error(windows):
    assert sessions.sessions(windows) is None
    assert not sessions.show_message(windows, "text", 1)


def test_this_is_what_the_engine_of_packages_needs_of_a_system(windows):
    system = WindowsSystem(windows)
    facts = system.facts()
    assert facts.families[-1] == "windows"
    boot = system.boot()
    assert len(boot) >= 14
    assert system.boot() == boot
    assert not system.reboot_pending()
    assert not system.detects(PackageSign("KB9999999"))
    adapters = system.adapters()
    assert sorted(adapters) == ["exe", "msi", "msu"]
    assert all(isinstance(adapter, WindowsInstaller) for adapter in adapters.values())


def test_the_engine_installs_in_order_once_and_names_what_failed(windows, packages, tmp_path):
    files = (
        make_msi(packages, "tool-1.0.msi", "Tool", 200, family="A"),
        make_msi(packages, "refused-1.0.msi", "Refused", 201, family="B", condition="0"),
    )
    order = [
        WantedPackage(
            name="settings",
            adapter="exe",
            command=("reg.exe", "add", KEY, "/v", "set", "/d", "yes", "/f", "/reg:64"),
            detect=(RegistrySign(KEY, "set", "yes"),),
            requires=("Tool",),
        ),
        *(packed(file) for file in files),
        WantedPackage(
            name="other",
            adapter="exe",
            command=("none.exe",),
            detect=(FileSign(r"C:\none"),),
            targets=(PackageTarget(family="debian"),),
        ),
    ]

    def install():
        outcome = install_packages(
            order,
            WindowsSystem(windows),
            PackageJournal(tmp_path / "packages.json"),
            run=f"run-{len(runs)}",
            fetch=lambda file: packages / file.name,
        )
        runs.append({result.name: (result.state, result.code) for result in outcome.results})
        return outcome

    runs = []
    assert not install().reboot
    assert runs[0] == {
        "Tool": ("installed", ""),
        "settings": ("installed", ""),
        "Refused": ("failed", "RW230"),
        "other": ("not-applicable", "RW205"),
    }
    install()
    assert runs[1] == {
        **runs[0],
        "Tool": ("present", ""),
        "settings": ("present", ""),
    }
    assert reg.delete(windows, KEY)
    assert MsiInstaller(windows).remove("Tool", 60).status == 0


def packed(file):
    """Describe a package by its file."""
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    name = file.name.partition("-")[0].capitalize()
    return WantedPackage(
        name=name, adapter="msi", files=(PackageFile(file.name, digest, len(content)),)
    )
