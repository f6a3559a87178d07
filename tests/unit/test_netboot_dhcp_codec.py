import re
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.netboot.dhcp_codec import decode, encode
from providers.netboot.dhcp_message import DhcpMessage, DhcpOptions, MessageType
from providers.netboot.errors import MalformedPacketError
from tests.unit.netboot_world import (
    CAPTURES,
    IPXE_BIOS_DISCOVER,
    MAC,
    OVMF_ASKS_4011,
    OVMF_DISCOVER,
    UDHCPC_DISCOVER,
    UUID,
)

_OPTIONS_START = 240


def _with_options(options: bytes) -> bytes:
    return OVMF_DISCOVER[:_OPTIONS_START] + options


def test_ipxe_discover_is_read_as_captured():
    message = decode(IPXE_BIOS_DISCOVER)
    assert message.message_type is MessageType.DISCOVER
    assert (message.xid, message.secs, message.flags) == (0x554C611A, 4, 0)
    assert message.chaddr == MAC
    assert message.options.architectures == (0,)
    assert message.options.vendor_class == "PXEClient:Arch:00000:UNDI:002001"
    assert message.options.user_classes == ("iPXE",)
    assert message.options.is_ipxe
    assert message.options.client_id == b"\x01" + bytes.fromhex(MAC.replace(":", ""))


def test_edk2_discover_is_read_as_captured():
    message = decode(OVMF_DISCOVER)
    assert message.flags == 0x8000
    assert message.options.architectures == (7,)
    assert not message.options.is_ipxe


def test_edk2_request_on_4011_carries_its_address():
    message = decode(OVMF_ASKS_4011)
    assert message.message_type is MessageType.REQUEST
    assert message.ciaddr == IPv4Address("10.77.0.111")
    assert message.options.requested_address is None


def test_an_installed_system_has_no_architecture():
    options = decode(UDHCPC_DISCOVER).options
    assert options.vendor_class == "udhcp 1.35.0"
    assert options.architectures == ()


@pytest.mark.parametrize("packet", [IPXE_BIOS_DISCOVER, OVMF_DISCOVER])
def test_the_uuid_is_the_one_that_the_machine_was_given(packet):
    # QEMU was started with -uuid UUID: the first three fields are little-endian.
    assert decode(packet).options.uuid == UUID


@pytest.mark.parametrize(
    "machine_id",
    [b"", b"\0" + bytes(16), b"\0" + b"\xff" * 16, b"\x01" + bytes(range(16)), b"\0" * 9],
)
def test_a_machine_id_that_names_no_machine_is_no_uuid(machine_id):
    assert DhcpOptions(machine_id=machine_id).uuid == ""


@pytest.mark.parametrize(
    ("raw", "classes"),
    [
        (b"iPXE", ("iPXE",)),
        (b"\x04iPXE", ("iPXE",)),
        (b"\x04iPXE\x03lab", ("iPXE", "lab")),
        (b"\x04iPXE\x09lab", ("\x04iPXE\x09lab",)),
        (b"", ()),
    ],
)
def test_user_classes_are_read_in_rfc_3004s_form_and_as_bare_text(raw, classes):
    assert DhcpOptions(user_class=raw).user_classes == classes


def test_ipxe_with_a_vendors_user_class_is_known_by_option_175():
    assert DhcpOptions(user_class=b"ACME", ipxe_options=b"\x13\x01\x01").is_ipxe


def test_damaged_option_that_nobody_reads_does_not_hide_the_ones_behind_it():
    # Option 57 (maximum size) has two bytes by RFC 2132, here it has three.
    message = decode(
        _with_options(bytes.fromhex("390300 05c0 350101 5d020007 ff".replace(" ", "")))
    )
    assert message.message_type is MessageType.DISCOVER
    assert message.options.architectures == (7,)


def test_an_option_in_two_parts_is_one():
    message = decode(_with_options(b"\x35\x01\x01\x4d\x02iP\x4d\x02XE\xff"))
    assert message.options.user_classes == ("iPXE",)


def test_what_stands_behind_the_end_option_is_not_read():
    message = decode(_with_options(b"\x35\x01\x01\xff\x4d\x04iPXE\xff"))
    assert not message.options.is_ipxe


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (b"\xff", "there is no message type (option 53)"),
        (b"\x35\x01\x0a\xff", "message type 10 is not one of RFC 2131"),
        (b"\x35\x01\x01\x32\x03abc\xff", "option 50 has a length of 3, which is not valid"),
        (b"\x35\x01\x01\x32\x08abcdefgh\xff", "option requested_addr has 2 values instead of one"),
        (b"\x35\x01\x01\x5d\x03\x00\x07\x00\xff", "option 93 has a length of 3"),
        (b"\x35\x01\x01\x3c\x20PXE", "option 60 is cut off"),
    ],
)
def test_a_packet_that_cannot_be_used_says_which_option_is_wrong(options, cause):
    with pytest.raises(MalformedPacketError, match=re.escape(cause)) as caught:
        decode(_with_options(options))
    assert caught.value.code == "RW309"


@pytest.mark.parametrize(
    ("at", "value", "cause"),
    [
        (0, 3, "op is 3, neither a request nor a reply"),
        (1, 32, "hardware type 32 with 6 bytes of address is not Ethernet"),
        (2, 16, "hardware type 1 with 16 bytes of address is not Ethernet"),
        (236, 0, "the DHCP magic cookie is missing, this is plain BOOTP"),
    ],
)
def test_a_foreign_header_is_refused_by_name(at, value, cause):
    packet = bytearray(OVMF_DISCOVER)
    packet[at] = value
    with pytest.raises(MalformedPacketError, match=re.escape(cause)):
        decode(bytes(packet))


def _reads_or_refuses(packet: bytes) -> None:
    """Fail with any error but the one that a caller expects."""
    try:
        message = decode(packet)
    except MalformedPacketError:
        return
    assert isinstance(message, DhcpMessage)
    assert isinstance(message.options.uuid, str)
    assert isinstance(message.options.user_classes, tuple)


@pytest.mark.parametrize("packet", CAPTURES)
def test_every_truncation_of_a_captured_packet_is_read_or_refused(packet):
    for length in range(len(packet)):
        _reads_or_refuses(packet[:length])


@given(st.binary(max_size=600))
def test_garbage_is_refused_with_one_error_type(packet):
    _reads_or_refuses(packet)


@given(st.binary(max_size=300))
def test_garbage_options_are_read_or_refused(options):
    _reads_or_refuses(_with_options(options))


@given(st.data())
def test_a_captured_packet_with_one_changed_byte_is_read_or_refused(data):
    packet = bytearray(data.draw(st.sampled_from(CAPTURES)))
    packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    _reads_or_refuses(bytes(packet))


_ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)
_MAYBE_ADDRESS = st.none() | _ADDRESSES
_SECONDS = st.none() | st.integers(0, 2**32 - 1)
_BYTES = st.binary(max_size=300)
_TEXT = st.text(st.characters(max_codepoint=255), max_size=300)
_FIELD_TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=63)
_OPTIONS = st.builds(
    DhcpOptions,
    requested_address=_MAYBE_ADDRESS,
    server_id=_MAYBE_ADDRESS,
    vendor_class=_TEXT,
    user_class=_BYTES,
    architectures=st.lists(st.integers(0, 65535), max_size=5).map(tuple),
    machine_id=_BYTES,
    relay_agent=_BYTES,
    client_id=_BYTES,
    hostname=_TEXT,
    subnet_mask=_MAYBE_ADDRESS,
    subnet_selection=_MAYBE_ADDRESS,
    routers=st.lists(_ADDRESSES, max_size=3).map(tuple),
    nameservers=st.lists(_ADDRESSES, max_size=3).map(tuple),
    domain=_TEXT,
    lease_seconds=_SECONDS,
    renewal_seconds=_SECONDS,
    rebinding_seconds=_SECONDS,
    message=_TEXT,
    vendor_options=_BYTES,
    ipxe_options=_BYTES,
)
_MESSAGES = st.builds(
    DhcpMessage,
    op=st.sampled_from([1, 2]),
    message_type=st.sampled_from(MessageType),
    xid=st.integers(0, 2**32 - 1),
    chaddr=st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")),
    hops=st.integers(0, 255),
    secs=st.integers(0, 65535),
    flags=st.integers(0, 65535),
    ciaddr=_ADDRESSES,
    yiaddr=_ADDRESSES,
    siaddr=_ADDRESSES,
    giaddr=_ADDRESSES,
    file=_FIELD_TEXT,
    options=_OPTIONS,
)


@given(_MESSAGES)
def test_what_is_written_is_read_back_the_same(message):
    assert decode(encode(message)) == message


def test_a_reply_has_at_least_bootps_300_bytes():
    message = replace(decode(UDHCPC_DISCOVER), options=DhcpOptions())
    assert len(encode(message)) == 300


def test_the_relays_option_comes_last():
    options = DhcpOptions(relay_agent=b"\x01\x02ab", client_id=b"\x01x", hostname="h")
    packet = encode(replace(decode(UDHCPC_DISCOVER), options=options))
    assert packet[_OPTIONS_START:].rstrip(b"\0").endswith(b"\x52\x04\x01\x02ab\xff")


def test_a_file_that_does_not_fit_its_field_is_refused():
    message = replace(decode(UDHCPC_DISCOVER), file="x" * 128)
    with pytest.raises(MalformedPacketError, match="file has room for 127 bytes"):
        encode(message)
