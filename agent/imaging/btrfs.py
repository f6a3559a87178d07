"""Btrfs: whether partclone's map of it may be trusted. Pure.

Offsets: btrfs documentation, on-disk format, superblock.
"""

import struct

from agent.imaging.table import Reader

_SUPERBLOCK = 65536
_MAGIC = b"_BHRfS_M"

# What partclone 0.3.23 reads right. BLOCK_GROUP_TREE (compat_ro 0x8) is not among
# them: its images missed the chunk tree (partclone #303).
_KNOWN_COMPAT_RO = 0x1 | 0x2 | 0x4  # free space tree, its validity, verity
_KNOWN_INCOMPAT = (
    0x1  # mixed backrefs
    | 0x2  # default subvolume
    | 0x8  # LZO
    | 0x10  # zstd
    | 0x20  # big metadata
    | 0x40  # extended iref
    | 0x100  # skinny metadata
    | 0x200  # no holes
    | 0x400  # metadata UUID
)


def unsupported_reason(read: Reader) -> str:
    """Return why a map of the used blocks would not be safe, empty where it is."""
    superblock = read(_SUPERBLOCK, 512)
    if superblock[0x40:0x48] != _MAGIC:
        return "its superblock is not at the usual place"
    (log_root,) = struct.unpack_from("<Q", superblock, 0x60)
    (devices,) = struct.unpack_from("<Q", superblock, 0x88)
    compat_ro, incompat = struct.unpack_from("<QQ", superblock, 0xB4)
    if devices != 1:
        return f"it spans {devices} devices"
    if log_root:
        return "its log tree holds changes that are not in the file system yet"
    unknown = (compat_ro & ~_KNOWN_COMPAT_RO, incompat & ~_KNOWN_INCOMPAT)
    if any(unknown):
        return (
            "it has features that the map is not known to cover "
            f"(compat_ro {unknown[0]:#x}, incompat {unknown[1]:#x})"
        )
    return ""
