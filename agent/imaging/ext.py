"""ext2/3/4: whether the block bitmaps on the disk may be trusted. Pure.

Offsets: Linux, Documentation/filesystems/ext4/super.rst.
"""

import struct

from agent.imaging.table import Reader

_SUPERBLOCK = 1024
_NEEDS_RECOVERY = 0x4
_JOURNAL_DEVICE = 0x8
_BIGALLOC = 0x200
_64BIT = 0x80
_MAGIC = 0xEF53
_UNMOUNTED = 0x1
_HAS_ERRORS = 0x2


def unsupported_reason(read: Reader) -> str:
    """Return why a map of the used blocks would not be safe, empty where it is.

    partclone maps a file system whose journal still holds transactions without a
    word, although blocks allocated in them look free in the bitmaps.
    """
    superblock = read(_SUPERBLOCK, 1024)
    (magic,) = struct.unpack_from("<H", superblock, 0x38)
    incompatible, read_only_compatible = struct.unpack_from("<II", superblock, 0x60)
    if magic != _MAGIC:
        return "its superblock is not at the usual place"
    if incompatible & _NEEDS_RECOVERY:
        return _unclean(superblock)
    if incompatible & _JOURNAL_DEVICE:
        return "it is the journal of another file system"
    if read_only_compatible & _BIGALLOC:
        return "it allocates in clusters, which the map cannot express"
    return _unclean(superblock)


def unclean_reason(read: Reader) -> str:
    """Return in what way the file system was not left clean, empty where it was."""
    superblock = read(_SUPERBLOCK, 1024)
    (magic,) = struct.unpack_from("<H", superblock, 0x38)
    (incompatible,) = struct.unpack_from("<I", superblock, 0x60)
    return "" if magic != _MAGIC or incompatible & _JOURNAL_DEVICE else _unclean(superblock)


def _unclean(superblock: bytes) -> str:
    (state,) = struct.unpack_from("<H", superblock, 0x3A)
    (incompatible,) = struct.unpack_from("<I", superblock, 0x60)
    if incompatible & _NEEDS_RECOVERY:
        return (
            "its journal holds changes that are not in the file system yet: "
            "mount it once and unmount it, or run e2fsck -f"
        )
    if state & _HAS_ERRORS:
        return "errors were found in it: run e2fsck -f"
    if not state & _UNMOUNTED:
        return "it was not unmounted: run e2fsck -f"
    return ""


def used_bytes(read: Reader, size: int) -> int:
    """Return how many of a partition's ``size`` bytes its superblock says are used.

    What lies behind the file system's end counts as used.
    """
    superblock = read(_SUPERBLOCK, 1024)
    free = int.from_bytes(superblock[0x0C:0x10], "little")
    if int.from_bytes(superblock[0x60:0x64], "little") & _64BIT:
        free |= int.from_bytes(superblock[0x158:0x15C], "little") << 32
    block = 1024 << superblock[0x18]
    return size - free * block
