"""Wake-on-LAN: the magic packet, and the driver ``wake-on-lan`` that sends it.

The format is AMD's "Magic Packet Technology" white paper (publication 20213):
six bytes of FF, then the machine's MAC address sixteen times, anywhere in a
frame that reaches the NIC. Nothing comes back, so a driver can only start a
machine and can never see whether it did.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address

from agent.errors import TerminalError, TransientError

WAKE_PORTS = (7, 9)
"""UDP ports in use for magic packets (echo and discard). The NIC looks at neither."""
WAKE_ETHERTYPE = 0x0842
"""Magic packets sent without IP."""

_PORT = 9
_SYNC = b"\xff" * 6
_REPETITIONS = 16
_COPIES = (
    3  # no acknowledgement exists, and switches lose frames while a sleeping link changes speed
)
_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}", re.IGNORECASE)


def magic_packet(mac: str) -> bytes:
    """Return the 102 bytes that wake the NIC with this MAC address.

    ``mac`` has colons, dashes or nothing between its bytes. RW601 when it is none.
    """
    if not _MAC.fullmatch(mac):
        raise TerminalError(
            "RW601",
            f"{mac!r} is not a MAC address",
            "Write six bytes in hexadecimal, such as 52:54:00:12:34:56",
        )
    address = bytes.fromhex(mac.replace(":", "").replace("-", ""))
    return _SYNC + address * _REPETITIONS


def parse_magic_packet(frame: bytes) -> str | None:
    """Return the MAC address that a magic packet anywhere in ``frame`` calls, or None.

    The address is lower case with colons.
    """
    start = frame.find(_SYNC)
    while start != -1:
        first = start + len(_SYNC)
        address = frame[first : first + 6]
        if frame[first : first + 6 * _REPETITIONS] == address * _REPETITIONS and len(address) == 6:  # noqa: PLR2004 - a MAC has six bytes
            return address.hex(":")
        start = frame.find(_SYNC, start + 1)
    return None


def power_on(macs: Iterable[str], broadcast: IPv4Address, interface: str | None = None) -> None:
    """Send a magic packet to each of a machine's NICs, to UDP port 9 of a broadcast address.

    ``interface`` names the one to leave by where routing would choose another; it
    needs CAP_NET_RAW. RW601 for a bad MAC; RW603, worth another try, when the
    network refuses the packet.
    """
    packets = [magic_packet(mac) for mac in macs]
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if interface is not None:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            for packet in packets:
                for _ in range(_COPIES):
                    sender.sendto(packet, (str(broadcast), _PORT))
    except OSError as error:
        by = f" by {interface}" if interface else ""
        raise TransientError(
            "RW603",
            f"the magic packet to {broadcast}{by} could not be sent: {error}",
            "Check that this host has an interface in the machine's network",
        ) from error
