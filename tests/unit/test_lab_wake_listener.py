import socket

import pytest

from providers.lab import wake_listener
from providers.power.wake_on_lan import magic_packet

MAC = "52:54:00:77:00:10"
ETHERNET = bytes.fromhex("ffffffffffff020000000001")


def udp(port, *, options=b"", fragment=0, protocol=17):
    """Return an Ethernet frame with an IPv4 packet that carries a magic packet."""
    payload = magic_packet(MAC)
    header = bytes([0x45 + len(options) // 4, 0]) + (20 + len(options) + 8 + 102).to_bytes(2, "big")
    header += bytes(2) + fragment.to_bytes(2, "big") + bytes([64, protocol]) + bytes(10) + options
    datagram = (40000).to_bytes(2, "big") + port.to_bytes(2, "big") + bytes(4) + payload
    return ETHERNET + b"\x08\x00" + header + datagram


@pytest.fixture
def wire():
    """Both ends of a link; the kernel applies the filter to what comes in at the second."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    wake_listener._attach(receiver, wake_listener.wake_filter())
    receiver.settimeout(0)
    with sender, receiver:
        yield sender, receiver


def passes(wire, frame):
    sender, receiver = wire
    sender.send(frame)
    try:
        return receiver.recv(65536) == frame
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    "frame",
    [
        udp(9),
        udp(7),
        udp(9, options=bytes(4)),
        ETHERNET + b"\x08\x42" + magic_packet(MAC),
        udp(9) + bytes(1000),
    ],
    ids=["port 9", "port 7", "IP options", "without IP", "long"],
)
def test_what_may_hold_a_magic_packet_is_heard(wire, frame):
    assert passes(wire, frame)


@pytest.mark.parametrize(
    "frame",
    [
        udp(69),
        udp(9, protocol=6),
        udp(9, fragment=1),
        ETHERNET + b"\x86\xdd" + magic_packet(MAC),
        ETHERNET + b"\x08\x06" + bytes(46),
        udp(9)[:30],
        b"",
    ],
    ids=["port 69", "TCP", "later fragment", "IPv6", "ARP", "cut off", "empty"],
)
def test_what_images_consist_of_is_not(wire, frame):
    assert not passes(wire, frame)
