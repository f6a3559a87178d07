"""A Windows machine as it reports itself, and the key that OpenSSL's library makes."""

import subprocess

import pytest
from builders.fake_windows import FakeWindows
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.libcrypto import LibCrypto
from agent.commands.windows import ipconfig
from agent.errors import TerminalError
from agent.windows.machine import WindowsMachine
from agent.windows.service_host import ServiceHost
from agent.windows.smbios import system_information
from agent.windows_service import command_line

IPCONFIG = """\
   Physische Adresse . . . . . . . . : E6-74-05-BC-F1-B3
   DHCPv6-Client-DUID. . . . . . . . : 00-01-00-01-2A-1F-3D-0C-E6-74-05-BC-F1-B3
   Physische Adresse . . . . . . . . : 00-00-00-00-00-00
   Physische Adresse . . . . . . . . : 02-fc-00-00-00-01
"""
UUID = bytes(range(16))


def table(uuid=UUID, strings=b"Maker\0Model\0\0"):
    bios = b"\0\x18\0\0" + bytes(20) + b"BIOS maker\0\0"
    system = b"\x01\x1b\x01\0" + b"\x01\x02\0\x03" + uuid + b"\x06\0\0"
    return bytes(8) + bios + system + strings


def test_smbios_says_maker_model_and_uuid():
    found = system_information(table())
    assert (found.vendor, found.product, found.serial) == ("Maker", "Model", "")
    assert found.uuid == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    assert system_information(table(bytes(16))).uuid == ""
    assert system_information(b"").vendor == ""


@given(st.binary(max_size=200))
def test_any_bytes_are_an_smbios_table(data):
    system_information(data)
    system_information(table()[: 40 + len(data)] + data)


def test_cards_are_read_from_the_documented_form_of_ipconfig_in_german():
    assert ipconfig.parse_macs(IPCONFIG) == ("e6:74:05:bc:f1:b3", "02:fc:00:00:00:01")


def test_hardware_and_addresses_come_from_the_registry_where_there_is_no_wmic(tmp_path):
    windows = FakeWindows(tmp_path, {"ipconfig": [(0, IPCONFIG)]})
    digits = ",".join(f"{byte:02x}" for byte in table())
    windows.put(
        r"HKLM\SYSTEM\CurrentControlSet\Services\mssmbios\Data", f'"SMBiosData"=hex:{digits}'
    )
    windows.put(r"HKLM\SYSTEM\CurrentControlSet\Control", '"PEFirmwareType"=dword:00000002')
    windows.put(
        r"HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\State",
        '"UEFISecureBootEnabled"=dword:00000001',
    )
    windows.put(
        r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor",
        r"[HKEY_LOCAL_MACHINE\HARDWARE\DESCRIPTION\System\CentralProcessor\0]",
        r"[HKEY_LOCAL_MACHINE\HARDWARE\DESCRIPTION\System\CentralProcessor\1]",
    )
    interfaces = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"
    windows.put(
        interfaces,
        f"[HKEY_LOCAL_MACHINE{interfaces[4:]}\\{{1}}]",
        '"DhcpIPAddress"="10.77.0.9"',
        '"DhcpSubnetMask"="255.255.255.0"',
        f"[HKEY_LOCAL_MACHINE{interfaces[4:]}\\{{2}}]",
        '"DhcpIPAddress"="0.0.0.0"',
        '"DhcpSubnetMask"="255.0.0.0"',
    )
    report = WindowsMachine("installed", windows=windows).report(("said before",))
    hardware = report.hardware
    assert (hardware.vendor, hardware.cpus, hardware.memory) == ("Maker", 2, 0)
    assert (hardware.firmware, hardware.secure_boot) == ("uefi", True)
    assert report.installed.addresses == ("10.77.0.9/24",)
    assert report.problems == ("said before",)


def test_openssl_s_library_makes_a_key_and_a_request_that_openssl_accepts():
    library = LibCrypto("libcrypto.so.3")
    key = library.make_key()
    request = library.make_request(key, "rackwright-agent")
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert library.make_key() != key
    checked = subprocess.run(
        ["openssl", "req", "-verify", "-noout", "-subject", "-pubkey"],
        input=request,
        capture_output=True,
        check=True,
    )
    own = subprocess.run(["openssl", "pkey", "-pubout"], input=key, capture_output=True, check=True)
    assert b"CN = rackwright-agent" in checked.stdout
    assert own.stdout in checked.stdout


def test_a_library_that_is_not_there_or_refuses_is_named():
    with pytest.raises(TerminalError) as error:
        LibCrypto("libcrypto-none.so")
    assert str(error.value).startswith(
        "RW239: no key can be made: OpenSSL's library: libcrypto-none.so cannot be loaded: "
    )
    with pytest.raises(TerminalError) as error:
        LibCrypto("libcrypto.so.3").make_request(b"no key", "name")
    assert error.value.cause == (
        "no key can be made: OpenSSL's library: PEM_read_bio_PrivateKey failed"
    )


def test_where_there_is_no_windows_there_is_no_service():
    with pytest.raises(TerminalError) as error:
        ServiceHost("Probe", lambda: 0, lambda: None).run()
    assert str(error.value) == (
        "RW238: the agent cannot run as a Windows service: this is no Windows. "
        "Start it with sc start, or run `agent service` in a console."
    )


def test_the_service_s_command_line_quotes_every_path():
    assert command_line(r"C:\a b\pythonw.exe", r"C:\c.json", r"C:\s", r"C:\l.log") == (
        r'"C:\a b\pythonw.exe" -E -B -m agent.windows_service '
        r'--config "C:\c.json" --state "C:\s" --log "C:\l.log"'
    )
