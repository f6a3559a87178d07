"""Labels that arrays leave at the end of their disks, as blkid and mdadm recognise them."""

import struct
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


def _write(disk: Path, sector: int, label: bytes) -> Path:
    with disk.open("r+b") as file:
        file.seek(sector * _SECTOR)
        file.write(label)
    return disk
