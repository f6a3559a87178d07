"""A disk as a row of segments, to scale: partitions and what lies between them. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agent.wire.disk import Disk, Partition

SMALLEST_GAP = 1 << 21
"""Bytes of free space that are shown; alignment leaves up to 1 MiB between partitions."""


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
    return " ".join(filter(None, (partition.content, partition.label)))
