"""What a partition or volume of a disk with unreadable sectors holds, as far as that can be seen.

blkid ends as if nothing were there when a place cannot be read that any of its formats may have.
"""

from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from agent.commands import blkid
from agent.errors import CommandError
from agent.imaging.device import Device
from agent.imaging.extent import Extent, located, total
from agent.imaging.signature_places import free_places

LABELS = 64 << 10
"""Bytes at the start of a disk, a partition or a volume in which labels lie close together."""

DISK_END = 4 << 20
"""Bytes at the end of a disk with a partition table in which it may say that it is a RAID's."""

_FIRST = (
    *("ext2", "ext3", "ext4", "xfs", "btrfs", "ntfs", "vfat", "exfat", "f2fs"),
    *("LVM2_member", "linux_raid_member", "swap"),
)
_LAST = ("crypto_LUKS",)
"""LUKS has copies of its label in many places."""


def label_is_lost(device: Device, pieces: Sequence[Extent], start: int = 0) -> bool:
    """Whether an unreadable sector may have the label of what lies in pieces of the disk.

    blkid says nothing of what it cannot read, and would go on with what was there before.
    What lies before ``start`` is not looked at.
    """
    bad = device.bad_sectors
    if bad is None:
        return False
    space = Extent(0, total(pieces))
    labels = [Extent(0, min(LABELS, space.length))]
    labels += [area for area, _ in free_places((space,), (), device.sector_size)]
    labels = [each for each in labels if each.offset >= start]
    areas = tuple(located(pieces, labels))
    for area in areas:
        device.read_marked(area.offset, area.length)
    return any(map(bad.meets, areas))


def seen_beside(device: Device, found: blkid.Signature, table: str) -> blkid.Signature:
    """Return what is on a disk with a partition table of this kind, beside unreadable sectors.

    ``found`` is what blkid said of the whole disk. Where that is nothing at all, it may have ended
    at a sector that any format may have, far inside a partition too; the table was read all the
    same, and a GPT has checksums. A disk without a table is not judged by it.
    """
    if device.bad_sectors is None or table == "none" or found != blkid.Signature():
        return found
    return evolve(blkid.probe_each(Path(device.node), 0, device.size), table=table)


def readable_label(device: Device, extent: Extent) -> blkid.Signature:
    """Return which file system is recognised beside unreadable sectors; not enough for a map."""
    place = (Path(device.node), extent.offset, extent.length)
    try:
        found = blkid.probe_for(*place, _FIRST)
        return found if found.filesystem else blkid.probe_for(*place, _LAST)
    except CommandError:
        return blkid.Signature()
