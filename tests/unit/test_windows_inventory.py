"""What the registry of a Windows says that Wine is not: releases, updates, pending reboots."""

import pytest
from builders.fake_windows import FakeWindows

from agent.errors import CodedError
from agent.inventory.collector import gather
from agent.windows.applications import packed, unpacked
from agent.windows.hotfixes import PACKAGES, read_hotfixes
from agent.windows.inventory import WindowsCollector, day_of, time_of
from agent.windows.live_registry import read_keys
from agent.windows.operating_system import language_of, read_operating_system
from agent.windows.reboot import pending_reasons
from agent.windows.system import WindowsSystem
from agent.windows.version_number import is_at_least
from agent.wire.inventory import ServiceUnit, UserSession
from agent.wire.package import PackageSign, RegistrySign

VERSION = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
SERVICING = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing"
UPDATE = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update"
MANAGER = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager"


@pytest.fixture
def windows(tmp_path):
    return FakeWindows(tmp_path)


def put_version(windows, name, build, kind, *more):
    windows.put(
        VERSION,
        f'"ProductName"="{name}"',
        f'"CurrentBuildNumber"="{build}"',
        f'"InstallationType"="{kind}"',
        '"CurrentVersion"="6.3"',
        '"CurrentMajorVersionNumber"=dword:0000000a',
        '"CurrentMinorVersionNumber"=dword:00000000',
        '"UBR"=dword:00000956',
        *more,
    )


def test_windows_11_which_the_registry_calls_10_is_known_by_its_build(windows):
    put_version(windows, "Windows 10 Pro", 22631, "Client", '"DisplayVersion"="23H2"')
    windows.put(MANAGER + r"\Environment", '"PROCESSOR_ARCHITECTURE"="AMD64"')
    windows.put(r"HKLM\SYSTEM\CurrentControlSet\Control\Nls\Language", '"InstallLanguage"="0411"')
    system = read_operating_system(windows)
    assert (system.name, system.release) == ("Windows 11 Pro", "23H2")
    assert (system.version, system.architecture) == ("10.0.22631.2390", "amd64")
    facts = WindowsSystem(windows).facts()
    assert facts.families == ("windows",)
    assert facts.versions == ("11", "11 Pro", "23H2", "10.0.22631.2390")
    assert facts.languages == ("ja-JP", "ja")


def test_a_server_is_a_windows_with_its_year(windows):
    put_version(windows, "Windows Server 2022 Standard", 20348, "Server Core")
    facts = WindowsSystem(windows).facts()
    assert facts.families == ("windows-server", "windows")
    assert facts.versions[:1] == ("2022",)


def test_times_and_days_are_those_of_all_inventories():
    assert time_of("20261129150500.500000+060") == "2026-11-29T14:05:00+00:00"
    assert time_of("20261329150500.500000+060") == time_of("soon") == ""
    assert day_of("20261129") == "2026-11-29"
    assert day_of("29.11.2026") == day_of("") == ""


def test_a_service_that_stopped_with_an_error_has_failed_and_users_are_those_of_quser(windows):
    services = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services"
    lines = [("Fine", 2), ("Broken", 2), ("Never", 3), ("Gone", 4)]
    windows.put(
        services.replace("HKEY_LOCAL_MACHINE", "HKLM"),
        *(
            line
            for name, start in lines
            for line in (f"[{services}\\{name}]", '"Type"=dword:10', f'"Start"=dword:{start}')
        ),
    )
    status = "SERVICE_NAME: {}\n        TYPE : 10\n        STATE : {}\n        EXIT : {}\n"
    found = (("Fine", 4, 0), ("Broken", 1, 1067), ("Never", 1, 1077))
    windows.answers["sc"] = [(0, "\n".join(status.format(*each) for each in found))]
    row = ">jane                  console             1  Active      none   11/29/2026 3:05 PM"
    windows.answers["quser"] = [(0, f" USERNAME              SESSIONNAME\n{row}")]
    inventory = gather(WindowsCollector(windows))
    assert inventory["services"] == (
        ServiceUnit("Broken", "failed", "enabled"),
        ServiceUnit("Fine", "active", "enabled"),
        ServiceUnit("Gone", "", "disabled"),
        ServiceUnit("Never", "inactive", "manual"),
    )
    assert inventory["users"] == (UserSession("1", "jane", "console", "", ""),)


def test_an_unknown_language_keeps_its_number():
    assert language_of("0407") == "de-DE"
    assert language_of("fffe") == "fffe"
    assert language_of("no number") == "no number"


def test_updates_come_from_component_packages_and_a_query_or_systeminfo(windows):
    windows.put(
        PACKAGES,
        "",
        f"[HKEY_LOCAL_MACHINE\\{PACKAGES[5:]}\\Package_for_KB5015684~31bf~amd64~~19041.1.2]",
        '"CurrentState"=dword:00000070',
        f"[HKEY_LOCAL_MACHINE\\{PACKAGES[5:]}\\Package_for_KB1111111~31bf~amd64~~19041.1.2]",
        '"CurrentState"=dword:00000050',
    )
    windows.answers["systeminfo"] = [(0, '"1 Hotfix,[01]: KB5031356"')]
    assert read_hotfixes(windows) == ("KB5015684", "KB5031356")
    assert WindowsSystem(windows).detects(PackageSign("kb5031356"))
    windows.answers["wmic"] = [(0, "HotFixID=KB4000001\n")]
    assert read_hotfixes(windows) == ("KB4000001", "KB5015684")


def test_each_sign_of_a_pending_reboot_is_seen(windows):
    assert pending_reasons(windows) == ()
    windows.put(SERVICING + r"\RebootPending")
    windows.put(UPDATE + r"\RebootRequired")
    windows.put(MANAGER, '"PendingFileRenameOperations"=hex(7):5c,00,3f,00,00,00,00,00')
    windows.put(
        r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName",
        r"[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName]",
        '"ComputerName"="OLD"',
        r"[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName]",
        '"ComputerName"="NEW"',
    )
    assert pending_reasons(windows) == (
        "component servicing",
        "Windows Update",
        "files that are in use",
        "another computer name",
    )
    assert WindowsSystem(windows).reboot_pending()


def test_an_empty_list_of_renames_is_no_pending_reboot(windows):
    windows.put(MANAGER, '"PendingFileRenameOperations"=hex(7):00,00')
    assert pending_reasons(windows) == ()


def test_numbers_in_the_registry_are_compared_as_numbers(windows):
    windows.put(r"HKLM\Software\A", '"n"=dword:0000001f', view=32)
    system = WindowsSystem(windows)
    for value, there in (("31", True), ("0x1F", True), ("30", False), ("x", False), (None, True)):
        assert system.detects(RegistrySign(r"HKLM\Software\A", "n", value)) is there
    assert system.detects(RegistrySign(r"HKLM\Software\A"))
    assert not system.detects(RegistrySign(r"HKLM\Software\A", "m"))


def test_a_key_without_a_hive_and_a_broken_export_are_named(windows):
    with pytest.raises(CodedError) as error:
        read_keys(windows, r"Software\A")
    assert str(error.value) == (
        r"RW237: the registry key Software\A begins with Software, which is no hive. "
        "Begin it with HKLM, HKCU, HKCR, HKU, HKCC."
    )
    windows.put(r"HKLM\A", "nonsense")
    with pytest.raises(CodedError) as error:
        read_keys(windows, r"HKLM\A")
    assert error.value.cause == (
        r"the registry key HKLM\A cannot be read: unexpected at 64: 'nonsense\r\n'"
    )


def test_versions_are_compared_by_their_numbers():
    assert is_at_least("10.0.9", "10.0")
    assert is_at_least("1.10", "1.9")
    assert is_at_least("1.0", "1")
    assert not is_at_least("1.9.9", "1.10")
    assert not is_at_least("", "1")


def test_codes_are_packed_as_windows_installer_does():
    code = "{90160000-008C-0000-1000-0000000FF1CE}"
    assert packed(code) == "00006109C80000000100000000F01FEC"
    assert unpacked(packed(code)) == code
