"""A machine's NIC, from inside its network namespace. Only the calling thread is there."""

import ctypes
import fcntl
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface

NIC = "nic0"
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCSIFADDR, _SIOCSIFNETMASK = 0x8916, 0x891C
_SIOCSARP, _ATF_COM_PERM = 0x8955, 0x02 | 0x04
_SIOCETHTOOL, _ETHTOOL_SGRO = 0x8946, 0x2C
_IFF_UP = 1
_ARPHRD_ETHER = 1
_NO_ADDRESS = IPv4Address(0)


def leave_network() -> None:
    """Give the calling thread, and all that it starts, an empty network of its own.

    Raises OSError without the right to (CAP_SYS_ADMIN).
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")


def switch_on() -> None:
    """Bring the NIC up, with a receive queue of its own.

    A veth without GRO shares the processor's queue of 1,000 frames with all others, which
    one broadcast to a thousand ports fills.
    """
    with _socket() as sock:
        value = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_SGRO, 1))
        request = struct.pack("16sP16x", NIC.encode(), ctypes.addressof(value))
        fcntl.ioctl(sock, _SIOCETHTOOL, request)
        request = struct.pack("16sh14x", NIC.encode(), 0)
        flags = struct.unpack_from("h", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", NIC.encode(), flags | _IFF_UP))


def set_address(address: IPv4Interface | None) -> None:
    """Give the NIC this address and no other; None takes it away."""
    with _socket() as sock:
        # Connections keep their address when the same is set again.
        if address is not None and _address(sock) == address.ip:
            return
        ip = address.ip if address is not None else _NO_ADDRESS
        if address is None and _address(sock) == _NO_ADDRESS:
            return
        fcntl.ioctl(sock, _SIOCSIFADDR, _request(ip))
        if address is not None:
            fcntl.ioctl(sock, _SIOCSIFNETMASK, _request(address.netmask))


def learn(address: IPv4Address, mac: str) -> None:
    """Know another station for good (arp(7)).

    The kernel's table of neighbours has room for 1,024 in all network namespaces together.
    """
    known = struct.pack(
        "HH4s8xH6s8xi16x16s",
        *(socket.AF_INET, 0, address.packed),
        *(_ARPHRD_ETHER, bytes.fromhex(mac.replace(":", ""))),
        *(_ATF_COM_PERM, NIC.encode()),
    )
    with _socket() as sock:
        fcntl.ioctl(sock, _SIOCSARP, known)


def dhcp_socket() -> socket.socket:
    """Return a socket on port 68 that broadcasts, and hears broadcasts, without an address."""
    sock = _socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    # A program that another machine's thread is just starting may still hold the last one.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, NIC.encode() + b"\0")
    sock.bind(("", 68))
    return sock


def _address(sock: socket.socket) -> IPv4Address:
    try:
        answer = fcntl.ioctl(sock, 0x8915, struct.pack("16s16x", NIC.encode()))  # SIOCGIFADDR
    except OSError:
        return _NO_ADDRESS
    return IPv4Address(answer[20:24])


def _request(address: IPv4Address) -> bytes:
    """Return a ``struct ifreq`` with an address (netdevice(7))."""
    return struct.pack("16sHH4s8x", NIC.encode(), socket.AF_INET, 0, address.packed)


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
