"""A disk as a row of segments, to scale: partitions and what lies between them. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.wire.disk import Disk, Partition

SMALLEST_GAP = 1 << 21
"""Bytes of free space that are shown; alignment leaves up to 1 MiB between partitions."""
_TYPES = {
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved",
    "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
    "0x83": "Linux",
    "0x82": "Linux swap",
    "0x8e": "Linux LVM",
    "0x7": "NTFS or exFAT",
}
"""What partitions without a file system are for, by their type (UEFI specification, section 5.3;
Discoverable Partitions Specification)."""


class Segment(NamedTuple):
    """A part of a disk; ``partition`` is None for free space."""

    start: int
    size: int
    partition: Partition | None


def segments(disk: Disk) -> tuple[Segment, ...]:
    """Return the partitions in the order of their places, with the free space that counts.

    What a broken table says is kept in bounds: a partition that begins before the last one
    ends, or ends after the disk, is cut.
    """
    found: list[Segment] = []
    place, end = 0, disk.identity.size
    for partition in _outermost(disk.partitions):
        start = min(max(partition.start, place), end)
        if start - place >= SMALLEST_GAP:
            found.append(Segment(place, start - place, None))
        size = max(0, min(partition.start + partition.size, end) - start)
        found.append(Segment(start, size, partition))
        place = max(place, start + size)
    if end - place >= SMALLEST_GAP:
        found.append(Segment(place, end - place, None))
    return tuple(found)


def _outermost(partitions: Iterable[Partition]) -> list[Partition]:
    """Leave out an extended partition: the logical ones in it are listed too."""
    extended = {"0x5", "0xf", "0x85", "0x05", "0x0f"}
    return sorted(
        (each for each in partitions if each.type.lower() not in extended),
        key=lambda each: (each.start, each.number),
    )


def widths(parts: Sequence[Segment], total: int, least: int) -> tuple[int, ...]:
    """Return how wide each segment is drawn: to scale, none below ``least``, ``total`` in all.

    Where so many do not fit, each gets ``least`` and the whole is wider.
    """
    if not parts:
        return ()
    size = sum(part.size for part in parts) or 1
    room = max(0, total - least * len(parts))
    ends = []
    so_far = 0
    for part in parts:
        so_far += part.size
        ends.append(room * so_far // size)
    return tuple(least + end - before for before, end in zip((0, *ends[:-1]), ends, strict=True))


UNREADABLE = "unreadable"
"""What an agent says of a disk whose partition table it could not read."""


def table_of(disk: Disk) -> str:
    """Return the kind of partition table, in words where there is none or it is not known."""
    if disk.table:
        return disk.table
    return "partition table unknown" if disk.holds == UNREADABLE else "no partition table"


def describe(partition: Partition) -> str:
    """Return what a partition holds: ``ext4 root``, ``BIOS boot``, ``unknown``."""
    holds = partition.filesystem or _TYPES.get(partition.type.lower(), "unknown")
    return " ".join(filter(None, (holds, partition.label)))
