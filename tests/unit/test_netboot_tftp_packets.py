import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.netboot.tftp_session import ReadRequest, error_packet, negotiate, parse_request

# Captured: OVMF asks for a file's size, GRUB 2.06 for its configuration, tftp-hpa without options.
OVMF = b"\0\1shimx64.efi\0octet\0tsize\x000\0blksize\x001468\0"
GRUB = b"\0\1/grub/grub.cfg\0octet\0blksize\x001024\0tsize\x000\0"
PLAIN = b"\0\1vmlinuz\0octet\0"


def test_read_requests_of_firmware_are_read():
    assert parse_request(OVMF) == ReadRequest(
        "shimx64.efi", "octet", (("tsize", "0"), ("blksize", "1468"))
    )
    assert parse_request(GRUB).name == "/grub/grub.cfg"
    assert parse_request(PLAIN) == ReadRequest("vmlinuz", "octet", ())
    assert parse_request(b"\0\1x\0NetASCII\0").mode == "netascii"


def test_uploads_are_told_from_downloads():
    assert parse_request(b"\0\2vmlinuz\0octet\0") == "write"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0",
        b"\0\3\0\1data",
        b"\0\4\0\1",
        b"\0\x09x\0octet\0",
    ],
)
def test_what_is_no_request_is_none(packet):
    assert parse_request(packet) is None


@pytest.mark.parametrize(
    ("packet", "name", "options"),
    [
        # shim appends what follows its own path in the buffer: bytes beyond ASCII, or 0xFF.
        (b"\0\1grubx64.efi\xff\xff\0octet\0", "grubx64.efi\udcff\udcff", ()),
        ("\0\1Büro/カーネル\0octet\0".encode(), "Büro/カーネル", ()),
        (b"\0\1x\0octet\0tsize\0\0", "x", (("tsize", ""),)),
        (b"\0\1x\0octet\0blksize\x001468\0\0\0\0\0", "x", (("blksize", "1468"),)),
        (b"\0\1x\0octet\0blksize\x001468", "x", (("blksize", "1468"),)),
        (b"\0\1x\0octet\0blksize\0", "x", (("blksize", ""),)),
        (b"\0\1x\0octet\0blksize", "x", (("blksize", ""),)),
        (b"\0\1x\0OCTET", "x", ()),
        (b"\0\1x\0octet\0" + b"\xfe\0\xff\0", "x", (("þ", "ÿ"),)),
    ],
)
def test_odd_read_requests_are_read_as_far_as_they_go(packet, name, options):
    assert parse_request(packet) == ReadRequest(name, "octet", options)


@pytest.mark.parametrize("packet", [b"\0\1", b"\0\1x", b"\0\1x\0", b"\0\1\0octet\0"])
def test_a_read_request_without_name_or_mode_is_illegal(packet):
    assert parse_request(packet) == "illegal"


@given(st.binary(max_size=600))
def test_no_read_request_is_left_without_an_answer(rest):
    assert parse_request(b"\0\1" + rest) is not None


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda raw: b"\0\1" + raw))
def test_garbage_is_never_more_than_a_request_or_none(packet):
    assert parse_request(packet) is None or isinstance(parse_request(packet), ReadRequest | str)


@pytest.mark.parametrize(
    ("requested", "accepted"),
    [
        ({}, {}),
        ({"tsize": "0"}, {"tsize": "5000"}),
        ({"blksize": "1432"}, {"blksize": "1432"}),
        ({"blksize": "65464"}, {"blksize": "1468"}),
        ({"blksize": "8"}, {"blksize": "8"}),
        ({"blksize": "7"}, {}),
        ({"blksize": "65465"}, {}),
        ({"blksize": "-1"}, {}),
        ({"blksize": "many"}, {}),
        ({"blksize": "٣٣"}, {}),
        ({"BLKSIZE": "1024", "TSIZE": "0"}, {"blksize": "1024", "tsize": "5000"}),
        ({"windowsize": "4", "timeout": "3"}, {}),
        ({"windowsize": "4", "blksize": "512"}, {"blksize": "512"}),
    ],
)
def test_only_options_that_were_asked_for_and_are_valid_are_acknowledged(requested, accepted):
    assert negotiate(requested, 5000) == accepted


def test_an_error_carries_its_text():
    assert error_packet(1, "x: file not found") == b"\0\5\0\1x: file not found\0"
