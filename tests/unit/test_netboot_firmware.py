import pytest

from providers.netboot.boot_policy import LOCAL_BOOT_MENU, BootData, BootSite, boot_data
from providers.netboot.decision import DeployOS, LocalDisk
from providers.netboot.dhcp_message import UNSPECIFIED, DhcpOptions
from providers.netboot.firmware import FIRMWARE, IPXE, LocalBoot, ProxyWay, classify
from tests.unit.netboot_world import (
    IPXE_BIOS_DISCOVER,
    MAC,
    OVMF_DISCOVER,
    SERVER,
    UDHCPC_DISCOVER,
    captured,
    grant,
)

SITE = BootSite(SERVER, "http://10.77.0.1:8080")
SCRIPT = "http://10.77.0.1:8080/boot/ipxe/52-54-00-12-34-56"
DEPLOY = DeployOS(grant())


def pxe(arch, user_class=b""):
    return DhcpOptions(
        vendor_class=f"PXEClient:Arch:{arch:05}:UNDI:003000",
        architectures=(arch,),
        user_class=user_class,
    )


@pytest.mark.parametrize(
    ("arch", "user_class", "leased", "beside"),
    [
        (0, b"", "undionly.kpxe", "undionly.kpxe"),
        (0, b"iPXE", SCRIPT, SCRIPT),
        (7, b"", "shimx64.efi", "snponly.efi"),
        (9, b"", "shimx64.efi", "snponly.efi"),
        (7, b"\x04iPXE", SCRIPT, SCRIPT),
        (6, b"", None, None),
        (11, b"", None, None),
        (16, b"", None, None),
        (11, b"iPXE", None, None),
        (4711, b"", None, None),
    ],
)
def test_the_way_to_the_deploy_os_of_every_firmware(arch, user_class, leased, beside):
    firmware = classify(pxe(arch, user_class))
    for chain, file in ((firmware.chain, leased), (firmware.beside, beside)):
        said = boot_data(DEPLOY, chain, firmware, MAC, SITE)
        if file is None:
            assert chain is None
            assert said == boot_data(LocalDisk("no way"), None, firmware, MAC, SITE)
        else:
            assert said == BootData(SERVER, file)


@pytest.mark.parametrize("firmware", [*FIRMWARE.values(), *IPXE.values()], ids=lambda row: row.name)
def test_the_local_disk_never_comes_with_a_boot_file(firmware):
    for chain in {firmware.chain, firmware.beside}:
        said = boot_data(LocalDisk("no grant"), chain, firmware, MAC, SITE)
        match firmware.local_boot:
            case LocalBoot.BY_SILENCE:
                assert said is None
            case LocalBoot.BY_MENU:
                assert said == BootData(UNSPECIFIED, "", "PXEClient", LOCAL_BOOT_MENU)
            case LocalBoot.BY_REFUSAL:
                nothing = "http://10.77.0.1:8080/boot/nothing"
                assert said == BootData(UNSPECIFIED, nothing, "HTTPClient")


def test_ipxe_goes_on_by_silence_and_pxe_firmware_by_the_menu():
    assert {row.local_boot for row in IPXE.values()} == {LocalBoot.BY_SILENCE}
    assert FIRMWARE[0].local_boot is LocalBoot.BY_MENU
    assert FIRMWARE[7].local_boot is LocalBoot.BY_MENU
    assert FIRMWARE[16].local_boot is LocalBoot.BY_REFUSAL


def test_the_menu_has_one_item_that_boots_locally_at_once():
    menu, prompt = LOCAL_BOOT_MENU[:15], LOCAL_BOOT_MENU[15:]
    code, length, boot_server_type, text_length = menu[0], menu[1], menu[2:4], menu[4]
    assert (code, length) == (9, len(menu) - 2)
    assert boot_server_type == b"\0\0"
    assert menu[5:].decode() == "Local disk"
    assert text_length == len("Local disk")
    seconds = prompt[2]
    assert (prompt[0], prompt[1], seconds) == (10, 11, 0)
    assert prompt[3:] == b"Local disk\xff"


def test_ways_of_proxydhcp():
    assert FIRMWARE[0].proxy is ProxyWay.BYPASS
    assert FIRMWARE[7].proxy is ProxyWay.ASK_4011
    assert {row.proxy for row in IPXE.values()} == {ProxyWay.IN_OFFER}


@pytest.mark.parametrize(
    ("packet", "name"),
    [(IPXE_BIOS_DISCOVER, "iPXE on BIOS"), (OVMF_DISCOVER, "x64 UEFI")],
)
def test_captured_firmware_is_known(packet, name):
    assert classify(captured(packet).options).name == name


def test_an_installed_system_is_no_firmware():
    assert classify(captured(UDHCPC_DISCOVER).options) is None


def test_a_pxe_client_without_architecture_is_bios():
    assert classify(DhcpOptions(vendor_class="PXEClient")) is FIRMWARE[0]


def test_http_boot_and_bare_ipxe_are_network_boot():
    http = DhcpOptions(vendor_class="HTTPClient:Arch:00016:UNDI:003001", architectures=(16,))
    assert classify(http) is FIRMWARE[16]
    assert classify(DhcpOptions(user_class=b"iPXE", architectures=(7,))) is IPXE[7]
