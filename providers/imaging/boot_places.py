"""What starts a system, or describes a file system, by its place on the disk. Pure.

Most of it names partitions by number or UUID. What has sector numbers in it either stays right
on the smaller disk, is corrected here, or is a reason not to make that disk.
"""

import struct
from collections.abc import Iterator

from agent.imaging.fit import Patch
from agent.imaging.gpt import BIOS_BOOT_TYPE
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.imaging.table import Reader, primaries
from providers.imaging.smaller_layout import Layout, Place

_BOOT_SECTOR = 512
_RECOVERY_TYPE = "0x27"
"""Of Windows' recovery environment, without which it starts."""
_BTRFS_LOADER = 1 << 20
"""Bytes at the start of a Btrfs that it leaves to boot loaders."""

# GRUB 2: grub-core/boot/i386/pc/boot.S and include/grub/i386/pc/boot.h; GRUB 0.97: stage1/stage1.h.
_GRUB = b"GRUB \0"
_LEGACY_VERSION = (0x3E, b"\x03\x02")
_LEGACY_SECTOR = struct.Struct("<I")
_LEGACY_PLACE = 0x44
_KERNEL_SECTOR = struct.Struct("<Q")
_KERNEL_PLACE = 0x5C
_BLOCK_LIST = struct.Struct("<QHH")
_LAST_LIST = 512 - _BLOCK_LIST.size

# Windows: BIOS parameter block of FAT and NTFS.
_HIDDEN = struct.Struct("<I")
_HIDDEN_PLACE = 0x1C
_SECTOR_SIZE_PLACE = 0x0B
_FAT32_BACKUP_PLACE = 0x32
_MARKS = {"vfat": (0x52, b"FAT32"), "ntfs": (0x03, b"NTFS")}
"""What stands in a copy of the boot sector, and where; FAT12 and FAT16 have none."""
_NTFS_SECTORS_PLACE = 0x28


def unbootable_reason(image: Manifest, new: Layout, read: Reader) -> str:
    """Return why the system would not start from the smaller disk; empty where nothing says so.

    ``read`` reads the image's disk.
    """
    changed = [each for each in new.places if each.changed]
    if not changed:
        return ""
    first = read(0, _BOOT_SECTOR)
    if image.table == "gpt" and len(primaries(first, image.sector_size)) > 1:
        return "its GPT has a hybrid MBR, which says where partitions begin a second time"
    if first[6:10] == b"LILO":
        return "its boot loader LILO knows by their sectors where files lie"
    moved = {each.number for each in new.places if each.moved}
    for partition in image.partitions:
        if partition.type == BIOS_BOOT_TYPE and partition.number in moved:
            return (
                f"partition {partition.number}, which its boot sector reads by the number of its "
                "first sector, would move"
            )
    for where, sector in _boot_sectors(image, first, read):
        if reason := _sectors_named(image, changed, sector, read):
            return f"{where} {reason}"
    if image.table == "mbr":
        return _windows_reason(image, new)
    return ""


def _boot_sectors(image: Manifest, first: bytes, read: Reader) -> Iterator[tuple[str, bytes]]:
    yield "its boot sector", first
    for each in image.partitions:
        if each.number:
            yield f"the boot sector of partition {each.number}", read(each.start, _BOOT_SECTOR)


def _sectors_named(image: Manifest, changed: list[Place], sector: bytes, read: Reader) -> str:
    """Return what a boot sector reads in places that change; empty where it reads nothing there."""
    smaller = next((each for each in changed if not each.moved), None)
    if sector[3:11] == b"EXTLINUX":
        return "is that of EXTLINUX, which knows by its sectors where its file lies"
    if _GRUB not in sector:
        return ""
    for lba in _grub_sectors(image, sector, read):
        offset = lba * image.sector_size
        for place in changed:
            if place is smaller and _has_btrfs_loader(image, place, offset):
                continue
            if place.before.offset <= offset < place.before.end:
                return (
                    f"reads GRUB from sector {lba}, in partition {place.number}, whose content "
                    "would lie elsewhere"
                )
    return ""


def _grub_sectors(image: Manifest, sector: bytes, read: Reader) -> Iterator[int]:
    """Yield the first sector of each piece of GRUB that its boot sector leads to."""
    place, version = _LEGACY_VERSION
    if sector[place : place + 2] == version:
        yield from _LEGACY_SECTOR.unpack_from(sector, _LEGACY_PLACE)
        return
    (lba,) = _KERNEL_SECTOR.unpack_from(sector, _KERNEL_PLACE)
    yield lba
    if (lba + 1) * image.sector_size > image.disk_size:
        return
    core = read(lba * image.sector_size, _BOOT_SECTOR)
    for position in range(_LAST_LIST, 0, -_BLOCK_LIST.size):
        start, length, _segment = _BLOCK_LIST.unpack_from(core, position)
        if not length:
            return
        yield start


def _has_btrfs_loader(image: Manifest, place: Place, offset: int) -> bool:
    kinds = {each.number: each.filesystem for each in image.partitions}
    start = place.before.offset
    return kinds.get(place.number) == "btrfs" and start <= offset < start + _BTRFS_LOADER


def _windows_reason(image: Manifest, new: Layout) -> str:
    for each in _moved_partitions(image, new):
        if each.filesystem == "ntfs" and each.type != _RECOVERY_TYPE:
            return (
                f"partition {each.number}, an NTFS, would move, and Windows knows partitions of "
                "an MBR disk by where they begin"
            )
    return ""


def corrections(image: Manifest, new: Layout, read: Reader) -> Iterator[Patch]:
    """Yield the sectors' numbers to write into moved FAT and NTFS: the first of the partition.

    A volume that has another number there keeps it. ``read`` reads the image's disk.
    """
    for partition in _moved_partitions(image, new):
        if partition.filesystem not in _MARKS:
            continue
        start, after = partition.start, new.now(partition.start)
        size = _number(read, start + _SECTOR_SIZE_PLACE, 2) or _BOOT_SECTOR
        old, now = (_HIDDEN.pack(each // size & 0xFFFFFFFF) for each in (start, after))
        for offset in sorted(set(_parameter_blocks(partition, size, read))):
            if read(offset + _HIDDEN_PLACE, _HIDDEN.size) == old:
                yield Patch(offset + _HIDDEN_PLACE - start + after, now)


def _parameter_blocks(partition: ImagedPartition, size: int, read: Reader) -> Iterator[int]:
    """Yield where on the disk the volume's boot sector and its copies lie.

    ``size`` is that of its sectors. The copy of an NTFS is the partition's last sector, or the
    one behind the volume.
    """
    start = partition.start
    yield start
    if partition.filesystem == "ntfs":
        copies = {_number(read, start + _NTFS_SECTORS_PLACE, 8), partition.size // size - 1}
    else:
        copies = {_number(read, start + _FAT32_BACKUP_PLACE, 2)}
    place, mark = _MARKS[partition.filesystem]
    for copy in copies:
        offset = start + copy * size
        inside = 0 < copy <= partition.size // size - 1
        if inside and read(offset + place, len(mark)) == mark:
            yield offset


def _number(read: Reader, offset: int, length: int) -> int:
    return int.from_bytes(read(offset, length), "little")


def _moved_partitions(image: Manifest, new: Layout) -> Iterator[ImagedPartition]:
    """Yield the partitions that begin elsewhere, logical ones too."""
    for partition in image.partitions:
        if new.now(partition.start) != partition.start:
            yield partition
