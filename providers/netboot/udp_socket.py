"""The UDP sockets of network boot: made, bound, or refused with who is in the way."""

import socket
from ipaddress import IPv4Address

from providers.netboot.port_owner import bind_error

_STORM_BUFFER = 4 << 20
"""Bytes of receive buffer to ask for: a rack that starts at once asks all at once."""

ANY = IPv4Address(0)


def bound_socket(interface: str, address: IPv4Address, port: int) -> socket.socket:
    """Return a socket for what is sent to ``address``; ``interface`` is then for error texts.

    With ``ANY`` for all that comes to ``port`` on ``interface``, broadcasts too: they reach no
    socket that is bound to an address. Raises ``TerminalError`` RW301 or RW302.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STORM_BUFFER)
        if address == ANY:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            device = interface.encode() + b"\0"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        sock.bind((str(address), port))
    except OSError as error:
        sock.close()
        raise bind_error(error, "udp", address, port, interface) from error
    return sock
