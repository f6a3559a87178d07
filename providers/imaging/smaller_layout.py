"""Where the partitions of an image lie on a smaller disk, and the table that says so. Pure.

One partition becomes smaller. What lies in front of it stays; what lies behind it moves down in
its order, with its size, to the next place that has the same offset within a MiB. An extended
partition moves as one, with all logical partitions in it: their records count from its start.
"""

from collections.abc import Iterator
from itertools import pairwise

from attrs import frozen

from agent.imaging import gpt
from agent.imaging.extent import Extent, merged, without
from agent.imaging.fit import Patch
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.imaging.scan import ASKED_FOR
from agent.imaging.table import moved_primary, primaries, resized_primary
from providers.imaging.errors import ShrinkError

UNIT = 1 << 20
"""Bytes to which the new disk and the end of the smaller partition are rounded."""

FILE_SYSTEMS = frozenset(("ext2", "ext3", "ext4", "ntfs", "btrfs"))
"""Those that can be shrunk, as blkid names them."""

_FIRST_LOGICAL = 5
_CANNOT = {
    "LVM2_member": "it is a physical volume of LVM, whose volumes would have to be shrunk first",
    "crypto_LUKS": "what is in it is encrypted",
    "exfat": "exFAT cannot be shrunk",
    "f2fs": "F2FS cannot be shrunk",
    "linux_raid_member": "it is a member of a Linux software RAID",
    "swap": "it is swap, which has no files; make it smaller on the captured machine",
    "vfat": "FAT cannot be shrunk",
    "xfs": "XFS cannot be shrunk",
}
_OTHER_PARTITION = "Name another one with --partition"
_FROM_FILES = (
    "Make a smaller file system on a machine, copy the files into it and capture that machine"
)


@frozen
class Place:
    """A partition of the image, or an extended one with all in it, and where it lies now."""

    number: int
    """0 where the disk has no table."""
    before: Extent
    after: Extent

    @property
    def moved(self) -> bool:
        """Whether it begins elsewhere."""
        return self.after.offset != self.before.offset

    @property
    def changed(self) -> bool:
        """Whether it lies elsewhere or is smaller."""
        return self.after != self.before


@frozen
class Layout:
    """The smaller disk. Bytes."""

    disk_size: int
    places: tuple[Place, ...]
    """In disk order."""
    shrunk: int | None
    """The number of the partition that may be smaller; None where only the disk's end goes."""

    @property
    def smaller(self) -> Place | None:
        """The partition that may be smaller."""
        return next((each for each in self.places if each.number == self.shrunk), None)

    def copies(self) -> Iterator[tuple[Extent, int]]:
        """Yield what is copied from the image's disk, and to which offset of the new one.

        All in front of the smaller partition, with the space between partitions, then what is
        behind it, partition by partition.
        """
        place = self.smaller
        if place is None:
            yield Extent(0, max((each.after.end for each in self.places), default=0)), 0
            return
        if place.before.offset:
            yield Extent(0, place.before.offset), 0
        for each in self.places:
            if each.before.offset > place.before.offset:
                yield each.before, each.after.offset

    def now(self, offset: int) -> int:
        """Return where a byte of a partition lies, by its offset on the image's disk."""
        for each in self.places:
            if each.before.offset <= offset < each.before.end:
                return offset - each.before.offset + each.after.offset
        return offset


def choose(image: Manifest, number: int | None) -> ImagedPartition:
    """Return the partition to shrink: ``number``, else the one with the most unused space.

    Raises ShrinkError RW448 where it cannot be shrunk, or none can.
    """
    if number is not None:
        for partition in image.partitions:
            if partition.number == number:
                if reason := obstacle(image, partition):
                    title = f"partition {number} cannot be shrunk: {reason}"
                    raise ShrinkError(title, _action(partition))
                return partition
        numbers = ", ".join(str(each.number) for each in image.partitions) or "none"
        raise ShrinkError(f"the image has no partition {number}; it has {numbers}", "Name one")
    able = [each for each in image.partitions if not obstacle(image, each)]
    if not able:
        reasons = "; ".join(
            f"partition {each.number}: {obstacle(image, each)}" for each in image.partitions
        )
        raise ShrinkError(f"no partition can be shrunk: {reasons or 'there is none'}", _FROM_FILES)
    return max(able, key=lambda each: (_unused(image, each), each.start))


def obstacle(image: Manifest, partition: ImagedPartition) -> str:
    """Return why a partition cannot be shrunk; empty where it can."""
    if image.table == "mbr" and partition.number >= _FIRST_LOGICAL:
        return "it is a logical partition"
    if reason := _CANNOT.get(partition.filesystem):
        return reason
    if not partition.filesystem:
        return partition.reason or "it has no file system that is known"
    if partition.filesystem not in FILE_SYSTEMS:
        return f"there is no way to shrink {partition.filesystem}"
    if partition.method != "used-blocks" and partition.reason != ASKED_FOR:
        return f"its {partition.filesystem} was kept sector by sector: {partition.reason}"
    return ""


def _action(partition: ImagedPartition) -> str:
    if partition.filesystem in FILE_SYSTEMS:
        return f"{_OTHER_PARTITION}, or mend it on the captured machine and capture that again"
    return f"{_OTHER_PARTITION}. {_FROM_FILES}"


def _unused(image: Manifest, partition: ImagedPartition) -> int:
    place = partition.extent
    used = sum(
        max(0, min(each.end, place.end) - max(each.offset, place.offset)) for each in image.used
    )
    return place.length - used


def layout(
    image: Manifest, shrunk: int | None = None, size: int = 0, disk_size: int | None = None
) -> Layout:
    """Return the disk on which partition ``shrunk`` has ``size`` bytes.

    It is as small as it can be, or has ``disk_size`` bytes, a multiple of ``UNIT`` that is no
    less. Without a partition nothing moves, and what lies behind the last one goes.
    """
    places, end, behind = [], 0, False
    for number, before in _blocks(image):
        after = before
        if behind:
            after = Extent(_next_place(end, before.offset), before.length)
        elif number == shrunk:
            after, behind = Extent(before.offset, size), True
        end = after.end
        places.append(Place(number, before, after))
    return Layout(disk_size or rounded_up(end + _backup_size(image)), tuple(places), shrunk)


def largest_size(image: Manifest, partition: ImagedPartition, disk_size: int) -> int:
    """Return the most bytes that a partition may have on a disk of ``disk_size`` bytes.

    0 or less where the others alone do not fit.
    """
    if layout(image, partition.number, partition.size).disk_size <= disk_size:
        return partition.size
    # Behind an end at a whole MiB, the others take the same space wherever that is.
    end = rounded_up(partition.extent.end)
    position = end
    for _, before in _blocks(image):
        if before.offset > partition.start:
            position = _next_place(position, before.offset) + before.length
    limit = disk_size - _backup_size(image) - (position - end)
    return min(partition.size, limit // UNIT * UNIT - partition.start)


def smallest_size(partition: ImagedPartition, needed: int) -> int:
    """Return the least bytes of the partition that have room for a file system of ``needed``."""
    return min(partition.size, rounded_up(partition.start + needed) - partition.start)


def rounded_up(size: int) -> int:
    """Return the next multiple of ``UNIT``."""
    return -(-size // UNIT) * UNIT


def table(image: Manifest, new: Layout) -> tuple[Patch, ...]:
    """Return the sectors of the new disk's partition table."""
    boot_sector, sector = image.regions[0].raw, image.sector_size
    if image.table == "mbr":
        for each in filter(lambda place: place.changed, new.places):
            start, sectors = each.after.offset // sector, each.after.length // sector
            if each.moved:
                boot_sector = moved_primary(boot_sector, each.number, start, sectors)
            else:
                boot_sector = resized_primary(boot_sector, each.number, sectors)
        return (Patch(0, boot_sector),)
    header_region, array_region = image.region("gpt-header"), image.region("gpt-entries")
    if header_region is None or array_region is None:  # no table: a checked GPT has both
        return ()
    header, array = gpt.parse_header(header_region.raw, 1), array_region.raw
    for each in filter(lambda place: place.changed, new.places):
        first, last = each.after.offset // sector, each.after.end // sector - 1
        array = header.moved_entry(array, each.number, first, last)
    header = header.with_entries(array)
    last = new.disk_size // sector - 1
    entries = last - header.entries_sectors(sector)
    primary = header.moved(
        position=1, alternate=last, last_usable=entries - 1, entries=header.entries
    )
    backup = header.moved(position=last, alternate=1, last_usable=entries - 1, entries=entries)
    protective = gpt.resized_protective_mbr(boot_sector, new.disk_size // sector)
    return (
        Patch(0, protective),
        Patch(sector, primary),
        Patch(header.entries * sector, array),
        Patch(entries * sector, array),
        Patch(last * sector, backup),
    )


def _blocks(image: Manifest) -> list[tuple[int, Extent]]:
    """Return number and place of what moves as one, in disk order.

    ShrinkError RW448 where an MBR says that they overlap, or that a logical partition lies
    outside the extended one.
    """
    if image.table != "mbr":
        return [(each.number, each.extent) for each in image.partitions]
    found = [
        (number, place) for number, _, place in primaries(image.regions[0].raw, image.sector_size)
    ]
    found.sort(key=lambda each: each[1])
    places = merged(place for _, place in found)
    apart = all(one.end <= two.offset for (_, one), (_, two) in pairwise(found))
    if not apart or without(merged(each.extent for each in image.partitions), places):
        raise ShrinkError("its partition table contradicts itself", _FROM_FILES)
    return found


def _next_place(position: int, start: int) -> int:
    """Return the first place from ``position`` on with the offset of ``start`` within a MiB."""
    return position + (start - position) % UNIT


def _backup_size(image: Manifest) -> int:
    header = image.region("gpt-header")
    if image.table != "gpt" or header is None:
        return 0
    return (gpt.parse_header(header.raw, 1).entries_sectors(image.sector_size) + 1) * (
        image.sector_size
    )
