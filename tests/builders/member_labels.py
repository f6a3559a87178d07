"""Labels of arrays and volume groups on their disks, as blkid and mdadm recognise them."""

import struct
import zlib
from pathlib import Path

_SECTOR = 512


def write_md_label(disk: Path, name: str = "host:0") -> Path:
    """Make the disk a member of a RAID1 with metadata 1.0, whose data begins at its first byte.

    Layout: ``struct mdp_superblock_1`` in the kernel's ``linux/raid/md_p.h``.
    """
    sectors = disk.stat().st_size // _SECTOR
    place = (sectors - 16) & ~7
    label = bytearray(
        struct.pack(
            "<4I16s32sQIIQIIIIQIIII",
            *(0xA92B4EFC, 1, 0, 0, bytes(range(16)), name.encode(), 0, 1, 0, place, 0, 2),
            *(0, 0, 0, 0, 0, 0, 0),
        )
    )
    label += struct.pack("<QQQQII16s8s", 0, place, place, 0, 0, 0, bytes(range(16, 32)), b"")
    label += struct.pack("<QQQII32s", 0, 1, 0xFFFFFFFFFFFFFFFF, 0, 2, b"")
    label += struct.pack("<2H", 0, 1)
    total = sum(struct.unpack(f"<{len(label) // 4}I", label))
    struct.pack_into("<I", label, 216, (total & 0xFFFFFFFF) + (total >> 32))
    return _write(disk, place, bytes(label))


def write_imsm_label(disk: Path) -> Path:
    """Make the disk a member of an Intel RST array: ``struct imsm_super`` of mdadm."""
    last = disk.stat().st_size // _SECTOR - 1
    label = b"Intel Raid ISM Cfg Sig. 1.3.00".ljust(32, b"\0") + struct.pack("<4I", 0, 480, 1, 1)
    return _write(disk, last - 1, label)


def write_ddf_label(disk: Path) -> Path:
    """Make the disk a member of a DDF array: SNIA's Common RAID DDF 2.0, section 5.5."""
    last = disk.stat().st_size // _SECTOR - 1
    head = struct.pack(">II24s8s", 0xDE11DE11, 0, b"LSI     0123456789abcdef", b"01.02.00")
    return _write(disk, last, head.ljust(96, b"\0") + struct.pack(">QQ", last, last))


def write_lvm_label(disk: Path) -> Path:
    """Make the disk a physical volume: ``struct label_header`` of LVM2, in its second sector."""
    rest = struct.pack("<I8s32s", 32, b"LVM2 001", b"a" * 32).ljust(_SECTOR - 20, b"\0")
    checksum = zlib.crc32(rest, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return _write(disk, 1, b"LABELONE" + struct.pack("<QI", 1, checksum) + rest)


def _write(disk: Path, sector: int, label: bytes) -> Path:
    with disk.open("r+b") as file:
        file.seek(sector * _SECTOR)
        file.write(label)
    return disk
