"""ext2/3/4: whether the block bitmaps on the disk may be trusted. Pure.

Offsets: Linux, Documentation/filesystems/ext4/super.rst.
"""

import struct

from agent.imaging.table import Reader

_SUPERBLOCK = 1024
_NEEDS_RECOVERY = 0x4
_JOURNAL_DEVICE = 0x8
_BIGALLOC = 0x200
_MAGIC = 0xEF53


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
        return "its journal holds changes that are not in the file system yet"
    if incompatible & _JOURNAL_DEVICE:
        return "it is the journal of another file system"
    if read_only_compatible & _BIGALLOC:
        return "it allocates in clusters, which the map cannot express"
    return ""
