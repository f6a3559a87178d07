"""Wake-on-LAN: the magic packet, and the driver that sends it.

The format is AMD's "Magic Packet Technology" white paper (publication 20213):
six bytes of FF, then the machine's MAC address sixteen times, anywhere in a
frame that reaches the NIC. Nothing comes back, so a driver can only start a
machine and can never see whether it did.
"""

import re
import socket
from collections.abc import Callable
from ipaddress import IPv4Address

from agent.errors import TerminalError, TransientError
from providers.power.driver import PowerState, refused

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
_DRIVER = "wake-on-lan"

SendPacket = Callable[[bytes, IPv4Address, str | None], None]
"""How packets leave: the payload, the broadcast address, the interface or None."""


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


def send(mac: str, broadcast: IPv4Address, interface: str | None = None) -> None:
    """Send the magic packet for ``mac`` to UDP port 9 of a broadcast address.

    ``interface`` names the one to leave by where routing would choose another; it
    needs CAP_NET_RAW. RW601 for a bad MAC; RW603, worth another try, when the
    network refuses the packet.
    """
    _send_udp(magic_packet(mac), broadcast, interface)


def _send_udp(payload: bytes, broadcast: IPv4Address, interface: str | None) -> None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if interface is not None:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            for _ in range(_COPIES):
                sender.sendto(payload, (str(broadcast), _PORT))
    except OSError as error:
        by = f" by {interface}" if interface else ""
        raise TransientError(
            "RW603",
            f"the magic packet to {broadcast}{by} could not be sent: {error}",
            "Check that this host has an interface in the machine's network",
        ) from error


class WakeOnLan:
    """The driver ``wake-on-lan``: starts a machine, and can do nothing else."""

    def __init__(
        self,
        machine: str,
        macs: tuple[str, ...],
        broadcast: IPv4Address,
        interface: str | None = None,
        send_packet: SendPacket = _send_udp,
    ) -> None:
        self._machine = machine
        self._packets = tuple(magic_packet(mac) for mac in macs)
        self._broadcast = broadcast
        self._interface = interface
        self._send_packet = send_packet

    def power_on(self) -> None:
        """Send a magic packet to each of the machine's NICs."""
        for packet in self._packets:
            self._send_packet(packet, self._broadcast, self._interface)

    def power_off(self) -> None:
        """Refuse: a magic packet only starts machines."""
        raise refused(
            self._machine,
            _DRIVER,
            "switch off",
            "Switch it off from its operating system or by hand",
        )

    def reset(self) -> None:
        """Refuse: a magic packet only starts machines."""
        raise refused(
            self._machine, _DRIVER, "reset", "Restart it from its operating system or by hand"
        )

    def query(self) -> PowerState:
        """Return ``unknown``: a sleeping NIC answers nothing."""
        return "unknown"
