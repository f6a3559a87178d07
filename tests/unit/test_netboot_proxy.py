from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from providers.netboot.boot_policy import LOCAL_BOOT_MENU, BootData
from providers.netboot.dhcp_message import UNSPECIFIED, MessageType
from providers.netboot.firmware import FIRMWARE, IPXE
from providers.netboot.proxy_policy import acknowledge, offer
from tests.unit.netboot_world import (
    IPXE_BIOS_DISCOVER,
    OVMF_ASKS_4011,
    OVMF_DISCOVER,
    SERVER,
    captured,
)

SNPONLY = BootData(SERVER, "snponly.efi")
UNDIONLY = BootData(SERVER, "undionly.kpxe")
LOCALLY = BootData(UNSPECIFIED, "", "PXEClient", LOCAL_BOOT_MENU)


def test_edk2_is_offered_a_server_to_ask_and_no_file():
    reply = offer(captured(OVMF_DISCOVER), SNPONLY, FIRMWARE[7], SERVER)
    assert reply.message_type is MessageType.OFFER
    assert (reply.yiaddr, reply.siaddr, reply.file) == (UNSPECIFIED, SERVER, "")
    assert reply.options.server_id == SERVER
    # EDK2 takes option 60 without option 43 for BINL, and asks port 4011.
    assert (reply.options.vendor_class, reply.options.vendor_options) == ("PXEClient", b"")
    assert reply.options.machine_id == captured(OVMF_DISCOVER).options.machine_id
    assert reply.options.lease_seconds is None


def test_edk2_gets_its_file_on_4011():
    reply = acknowledge(captured(OVMF_ASKS_4011), SNPONLY, SERVER)
    assert reply.message_type is MessageType.ACK
    assert (reply.siaddr, reply.file) == (SERVER, "snponly.efi")
    assert reply.ciaddr == IPv4Address("10.77.0.111")
    assert reply.yiaddr == UNSPECIFIED
    assert reply.options.vendor_class == "PXEClient"


def test_bios_is_told_to_start_the_file_of_the_offer():
    reply = offer(captured(OVMF_DISCOVER), UNDIONLY, FIRMWARE[0], SERVER)
    assert (reply.siaddr, reply.file) == (SERVER, "undionly.kpxe")
    assert reply.options.vendor_options == b"\x06\x01\x08\xff"


def test_ipxe_gets_the_script_in_the_offer():
    script = BootData(SERVER, "http://10.77.0.1/boot/ipxe/x")
    reply = offer(captured(IPXE_BIOS_DISCOVER), script, IPXE[0], SERVER)
    assert reply.file == script.file
    assert (reply.options.vendor_class, reply.options.vendor_options) == ("PXEClient", b"")


@pytest.mark.parametrize("arch", [0, 7])
def test_the_local_disk_is_offered_as_a_menu(arch):
    reply = offer(captured(OVMF_DISCOVER), LOCALLY, FIRMWARE[arch], SERVER)
    assert (reply.siaddr, reply.file) == (UNSPECIFIED, "")
    assert reply.options.vendor_options == LOCAL_BOOT_MENU
    assert acknowledge(captured(OVMF_ASKS_4011), LOCALLY, SERVER).options.vendor_options == (
        LOCAL_BOOT_MENU
    )


def test_who_has_nothing_to_hear_gets_no_offer():
    assert offer(captured(IPXE_BIOS_DISCOVER), None, IPXE[0], SERVER) is None
    assert offer(captured(OVMF_DISCOVER), None, None, SERVER) is None
    assert acknowledge(captured(OVMF_ASKS_4011), None, SERVER) is None


def test_only_discover_is_offered_to_and_only_requests_are_acknowledged():
    assert offer(captured(OVMF_ASKS_4011), SNPONLY, FIRMWARE[7], SERVER) is None
    assert acknowledge(captured(OVMF_DISCOVER), SNPONLY, SERVER) is None
    inform = replace(captured(OVMF_ASKS_4011), message_type=MessageType.INFORM)
    assert acknowledge(inform, SNPONLY, SERVER).file == "snponly.efi"
