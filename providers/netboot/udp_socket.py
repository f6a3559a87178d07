"""The UDP sockets of network boot: made, bound, or refused with who is in the way."""

import socket
from ipaddress import IPv4Address

from providers.netboot.port_owner import bind_error

_STORM_BUFFER = 4 << 20
"""Bytes of receive buffer to ask for: a rack that starts at once asks all at once."""

_ANY = IPv4Address(0)


def unicast_socket(interface: str, address: IPv4Address, port: int) -> socket.socket:
    """Return a socket for what is sent to ``address``.

    Raises ``TerminalError``; ``interface`` is for their texts.
    """
    sock = _udp()
    try:
        sock.bind((str(address), port))
    except OSError as error:
        sock.close()
        raise bind_error(error, "udp", address, port, interface) from error
    return sock


def broadcast_socket(interface: str, port: int) -> socket.socket:
    """Return a socket for all that comes to ``port`` on ``interface``, broadcasts too.

    It is bound to 0.0.0.0, as broadcasts reach no socket that is bound to an
    address. Raises ``TerminalError``.
    """
    sock = _udp()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.bind((str(_ANY), port))
    except OSError as error:
        sock.close()
        raise bind_error(error, "udp", _ANY, port, interface) from error
    return sock


def _udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STORM_BUFFER)
    return sock
