"""The port that keeps the bridge's link up while all machines are off.

A switch keeps the host's link up whatever hangs on it. A Linux bridge loses its carrier
with its last port and then drops what the host sends, magic packets among it. A tap
has carrier while a process holds it open; dummy interfaces are missing in small kernels.
"""

import fcntl
import struct
from pathlib import Path
from typing import BinaryIO

_DEVICE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000


def hold_up(interface: str) -> BinaryIO:
    """Return the open tap; its link is up until it is closed. What it is sent is dropped."""
    tap = _DEVICE.open("r+b", buffering=0)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap
