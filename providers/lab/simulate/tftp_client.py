"""A PXE ROM's TFTP (RFC 1350): the first block of a file, then no more. One socket."""

import socket
import struct
from ipaddress import IPv4Address

_PORT = 69
_READ, _DATA, _ACK, _ERROR = 1, 3, 4, 5
_BLOCK = 512
_TRIES = 5
_SECONDS = 2.0


class TransferError(Exception):
    """The server sent no such file, or nothing at all."""


def first_block(server: IPv4Address, name: str) -> bytes:
    """Return the first 512 bytes of a file; the transfer of a longer one is called off.

    TransferError when the server refuses, or is silent for ten seconds.
    """
    request = struct.pack("!H", _READ) + name.encode("ascii") + b"\0octet\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SECONDS)
        for _ in range(_TRIES):
            sock.sendto(request, (str(server), _PORT))
            try:
                packet, peer = sock.recvfrom(_BLOCK + 4)
            except TimeoutError:
                continue
            return _block(sock, packet, peer, name)
    raise TransferError(f"{server} does not send {name}")


def _block(sock: socket.socket, packet: bytes, peer: tuple[str, int], name: str) -> bytes:
    code, number = struct.unpack_from("!HH", packet)
    if code != _DATA or number != 1:
        raise TransferError(f"{peer[0]} does not send {name}: {packet[4:].decode('latin-1')}")
    data = packet[4:]
    if len(data) < _BLOCK:
        sock.sendto(struct.pack("!HH", _ACK, number), peer)
    else:
        sock.sendto(struct.pack("!HH", _ERROR, 0) + b"a simulated ROM reads one block\0", peer)
    return data
