"""Where a file's bytes lie on its file system (FS_IOC_FIEMAP, kernel's filesystems/fiemap.rst)."""

import fcntl
import struct
from typing import NamedTuple

_FIEMAP = 0xC020660B
_HEAD = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQ16xI12x")
_COUNT = 256
_LAST, _UNWRITTEN, _MERGED, _SHARED = 0x1, 0x800, 0x1000, 0x2000
_KNOWN = _LAST | _UNWRITTEN | _MERGED | _SHARED
_MOST = 4096

PHYSICAL = frozenset({"ext2", "ext3", "ext4", "xfs"})
"""File systems whose map has offsets on the device. Btrfs has addresses of its own there."""


class FileExtent(NamedTuple):
    """``length`` bytes of a file, from ``logical`` in it, lie at ``physical``."""

    logical: int
    physical: int
    length: int
    is_unwritten: bool
    """Whether they read as zeros, whatever lies there."""


def file_extents(descriptor: int) -> tuple[FileExtent, ...] | None:
    """Return the extents of an open file; None where they do not say where its bytes are.

    That is so for bytes inside an inode, compressed ones, and more than 4,096 extents.
    """
    found: list[FileExtent] = []
    start = 0
    while len(found) <= _MOST:
        request = bytearray(_HEAD.size + _COUNT * _EXTENT.size)
        _HEAD.pack_into(request, 0, start, (1 << 64) - 1 - start, 0, 0, _COUNT, 0)
        try:
            fcntl.ioctl(descriptor, _FIEMAP, request)
        except OSError:
            return None
        mapped = _HEAD.unpack_from(request)[3]
        if not mapped:
            return tuple(found)
        for index in range(mapped):
            logical, physical, length, flags = _EXTENT.unpack_from(
                request, _HEAD.size + index * _EXTENT.size
            )
            if flags & ~_KNOWN:
                return None
            found.append(FileExtent(logical, physical, length, bool(flags & _UNWRITTEN)))
            if flags & _LAST:
                return tuple(found)
        start = found[-1].logical + found[-1].length
    return None
