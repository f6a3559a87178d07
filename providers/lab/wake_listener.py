"""Hearing magic packets on the bridge, as the NICs of machines that are off would."""

import ctypes
import socket
import struct
from collections.abc import Sequence

from providers.power.wake_on_lan import WAKE_ETHERTYPE, WAKE_PORTS

_ETH_P_ALL = 0x0003
_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER = 26
_WHOLE_FRAME = 0x40000

Instruction = tuple[int, int, int, int]
"""Operation, jump if true, jump if false, operand (``struct sock_filter``)."""

_LOAD_HALF = 0x28
_LOAD_BYTE = 0x30
_LOAD_HALF_INDEXED = 0x48
_LOAD_HEADER_LENGTH = 0xB1
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_SET = 0x45
_RETURN = 0x06


def wake_filter() -> list[Instruction]:
    """Return the BPF program that passes candidates for magic packets only.

    Frames of the Wake-on-LAN ethertype, and unfragmented IPv4 UDP to its ports. Images
    cross the same bridge at full speed and must not reach this process.
    """
    first, second = WAKE_PORTS
    return [
        (_LOAD_HALF, 0, 0, 12),
        (_JUMP_IF_EQUAL, 9, 0, WAKE_ETHERTYPE),
        (_JUMP_IF_EQUAL, 0, 9, _ETH_P_IP),
        (_LOAD_BYTE, 0, 0, 23),
        (_JUMP_IF_EQUAL, 0, 7, socket.IPPROTO_UDP),
        (_LOAD_HALF, 0, 0, 20),
        (_JUMP_IF_SET, 5, 0, 0x1FFF),
        (_LOAD_HEADER_LENGTH, 0, 0, 14),
        (_LOAD_HALF_INDEXED, 0, 0, 16),
        (_JUMP_IF_EQUAL, 1, 0, first),
        (_JUMP_IF_EQUAL, 0, 1, second),
        (_RETURN, 0, 0, _WHOLE_FRAME),
        (_RETURN, 0, 0, 0),
    ]


def open_listener(interface: str) -> socket.socket:
    """Return a non-blocking socket that reads candidate frames off ``interface``.

    Needs CAP_NET_RAW. It sees what the host sends as well as what machines broadcast.
    """
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing until bound
    _attach(listener, wake_filter())
    listener.bind((interface, _ETH_P_ALL))
    listener.settimeout(0)
    return listener


def _attach(listener: socket.socket, program: Sequence[Instruction]) -> None:
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    listener.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("@HP", len(program), ctypes.addressof(buffer)),
    )
