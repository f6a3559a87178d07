"""Which partition or LVM volume a restore enlarges on the target, and up to where. Pure.

A partition takes the free space behind it, a volume all free extents of its group on the disk.
On the disk's side of the partition, one to two MiB stay free: the backup of a GPT lies there, and
the disk's last sector is written with the boot block, after all else.
"""

from collections.abc import Sequence

from attrs import frozen

from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent, between
from agent.imaging.growable import (
    BTRFS,
    LEAST_BTRFS,
    LVM,
    Growable,
    GrowableGroup,
    GrowablePartition,
    GrowablePhysicalVolume,
    GrowableVolume,
)

NONE, LAST = "none", "last"

FIRST_LOGICAL = 5
"""The number of an MBR's first logical partition."""

_UNIT = 1 << 20
_MOST_MBR_SECTORS = 0xFFFFFFFF
_SHOWN = 8


@frozen
class VolumeGrowth:
    """The logical volume that grows. Bytes."""

    group: GrowableGroup
    volume: GrowableVolume
    size: int
    """What it has then."""

    @property
    def name(self) -> str:
        """The volume as people write it: ``vg0/root``."""
        return f"{self.group.name}/{self.volume.name}"


@frozen
class Growth:
    """One partition and where it lies once it is grown, and the volume in it that grows."""

    partition: GrowablePartition
    extent: Extent
    """As in the image where only a volume grows, into extents that are free there."""
    volume: VolumeGrowth | None = None

    @property
    def moves_end(self) -> bool:
        """Whether the partition is larger than in the image."""
        return self.extent.end > self.partition.end


def growth(image: Growable, target_size: int, grow: str) -> Growth | None:
    """Return what grows on a target of ``target_size`` bytes; None where nothing does.

    ``grow`` is ``none``, ``last``, a partition's number or ``GROUP/VOLUME``. A partition that has
    the rest of the disk already is as it should be, and so is a volume that would not get an
    extent. Raises RefusedDiskError: RW417 where the partition, the volume or its file system
    cannot be grown, or not to what it would have, RW418 where another partition follows at once.
    """
    if grow == NONE:
        return None
    group_name, slash, name = grow.partition("/")
    if slash:
        group, volume = _named_volume(image, group_name, name)
        partition = _partition_of(image, group)
    else:
        partition = _named_partition(image, grow)
        if partition.filesystem != LVM:
            return _partition_growth(image, target_size, partition)
        _refuse_obstacle(partition)
        group, volume = _only_volume(image, partition)
    _refuse_obstacle(partition)
    place = Extent(partition.start, partition.size)
    larger = _larger(image, target_size, partition)
    if larger is None and not slash:
        return None
    size = volume.size + group.free + _added(group, partition, larger or place)
    if size == volume.size:
        return None
    found = VolumeGrowth(group, volume, size)
    _refuse_small(f"the LVM volume {found.name}", volume.filesystem, size)
    return Growth(partition, larger or place, found)


def _partition_growth(
    image: Growable, target_size: int, partition: GrowablePartition
) -> Growth | None:
    _refuse_obstacle(partition)
    larger = _larger(image, target_size, partition)
    if larger is None:
        return None
    _refuse_small(f"partition {partition.number}", partition.filesystem, larger.length)
    return Growth(partition, larger)


def _larger(image: Growable, target_size: int, partition: GrowablePartition) -> Extent | None:
    """Return where a partition lies once it is grown; None where it has the rest already."""
    following = _following(image, partition)
    limit = min(target_size - max(_UNIT, image.backup), following or target_size)
    if image.table == "mbr":
        logical = partition.number >= FIRST_LOGICAL
        start = min(image.records) if logical and image.records else partition.start
        limit = min(limit, start + _MOST_MBR_SECTORS * image.sector_size)
    end = limit // _UNIT * _UNIT
    if end > partition.end:
        return between(partition.start, end)
    if following is None:
        return None
    raise RefusedDiskError(
        "RW418",
        f"partition {partition.number} cannot be grown: it ends at {partition.end}, "
        f"and the next one begins at {following}",
        "Name the last partition in `grow`, or none",
    )


def _following(image: Growable, partition: GrowablePartition) -> int | None:
    """Return where the next partition begins, a logical one with its record."""
    starts = [*(other.start for other in image.partitions), *image.records]
    return min((start for start in starts if start > partition.start), default=None)


def _added(group: GrowableGroup, partition: GrowablePartition, place: Extent) -> int:
    """Return by how many bytes of extents the group grows when the partition lies there."""
    volume = _physical(group, partition)
    count = (place.end - volume.tail - volume.start) // group.extent_size
    return max(count - volume.count, 0) * group.extent_size


def _physical(group: GrowableGroup, partition: GrowablePartition) -> GrowablePhysicalVolume:
    return next(each for each in group.physical if each.partition == partition.number)


# --- which one ------------------------------------------------------------------


def _named_partition(image: Growable, grow: str) -> GrowablePartition:
    partitions = [partition for partition in image.partitions if partition.number > 0]
    if grow == LAST and partitions:
        return max(partitions, key=lambda partition: partition.start)
    for partition in partitions:
        if str(partition.number) == grow:
            return partition
    raise _unknown(
        f"partition {grow}", "partitions", [str(partition.number) for partition in partitions]
    )


def _named_volume(image: Growable, group: str, name: str) -> tuple[GrowableGroup, GrowableVolume]:
    for each in image.groups:
        for volume in each.volumes:
            if (each.name, volume.name) == (group, name):
                _refuse_volume(each, volume)
                return each, volume
    kept = [
        f"partition {partition.number}: {partition.obstacle}"
        for partition in image.partitions
        if partition.filesystem == LVM and partition.obstacle
    ]
    if kept and not image.groups:
        raise _cannot(f"the LVM volume {group}/{name}", "; ".join(kept[:_SHOWN]))
    known = [f"{each.name}/{volume.name}" for each in image.groups for volume in each.volumes]
    raise _unknown(f"LVM volume {group}/{name}", "LVM volumes", known)


def _partition_of(image: Growable, group: GrowableGroup) -> GrowablePartition:
    """Return the last physical volume of a group: the others have no room behind them."""
    numbers = {each.partition for each in group.physical}
    found = [partition for partition in image.partitions if partition.number in numbers]
    return max(found, key=lambda partition: partition.start)


def _only_volume(
    image: Growable, partition: GrowablePartition
) -> tuple[GrowableGroup, GrowableVolume]:
    """Return the one volume that can grow in the group of a partition."""
    group = next(
        group
        for group in image.groups
        if any(each.partition == partition.number for each in group.physical)
    )
    what = f"partition {partition.number}, a physical volume of {group.name},"
    if group.obstacle:
        raise _cannot(what, group.obstacle)
    able = [volume for volume in group.volumes if not volume.obstacle]
    if len(able) == 1:
        return group, able[0]
    names = [f"{group.name}/{volume.name}" for volume in able]
    if names:
        listed = _listed(names)
        raise RefusedDiskError(
            "RW417",
            f"{what} cannot be grown: {len(names)} volumes could take the space: {listed}",
            f"Name one of them in `grow`, such as {names[0]}",
        )
    reasons = [f"{group.name}/{volume.name}: {volume.obstacle}" for volume in group.volumes]
    raise _cannot(what, f"no volume of it can grow ({_listed(reasons, '; ') or 'it has none'})")


# --- refusals -------------------------------------------------------------------


def _refuse_obstacle(partition: GrowablePartition) -> None:
    if partition.obstacle:
        number = partition.number
        what = f"partition {number}" if number else "a disk without a partition table"
        raise _cannot(what, partition.obstacle)


def _refuse_volume(group: GrowableGroup, volume: GrowableVolume) -> None:
    if reason := group.obstacle or volume.obstacle:
        raise _cannot(f"the LVM volume {group.name}/{volume.name}", reason)


def _refuse_small(what: str, filesystem: str, size: int) -> None:
    if filesystem == BTRFS and size < LEAST_BTRFS:
        raise RefusedDiskError(
            "RW417",
            f"{what} cannot be grown: its {filesystem} would have {size:,} bytes on this disk, "
            f"and Linux gives none a new size of less than {LEAST_BTRFS:,}",
            "Restore to a larger disk, or with `grow: none`",
        )


def _cannot(what: str, reason: str) -> RefusedDiskError:
    return RefusedDiskError(
        "RW417",
        f"{what} cannot be grown: {reason}",
        "Name another partition or volume in `grow`, or none",
    )


def _unknown(what: str, kind: str, known: Sequence[str]) -> RefusedDiskError:
    return RefusedDiskError(
        "RW417",
        f"the image has no {what} to grow; its {kind}: {_listed(known) or 'none'}",
        "Name one of them in `grow`, or none",
    )


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return separator.join(names[:_SHOWN]) + more
