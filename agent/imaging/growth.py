"""Which partition a restore enlarges on the target, and up to where. Pure.

The partition takes the free space behind it. On the disk's side of it, one to two MiB stay
free: the backup of a GPT lies there, and the disk's last sector is written with the boot block,
after all else.
"""

from attrs import frozen

from agent.imaging import gpt
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent, between
from agent.imaging.manifest import ImagedPartition, Manifest

FILE_SYSTEMS = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "ntfs"))
"""Those that can be grown, as blkid names them."""

NONE, LAST = "none", "last"

_UNIT = 1 << 20
_MOST_MBR_SECTORS = 0xFFFFFFFF
_FIRST_LOGICAL = 5


@frozen
class Growth:
    """One partition and where it lies once it is grown."""

    partition: ImagedPartition
    extent: Extent


def growth(manifest: Manifest, target_size: int, grow: str) -> Growth | None:
    """Return what grows on a target of ``target_size`` bytes; None where nothing does.

    ``grow`` is ``none``, ``last`` or a partition's number. A partition that has the rest of the
    disk already is as it should be. Raises RefusedDiskError: RW417 where the partition or its
    file system cannot be grown, RW418 where another partition follows at once.
    """
    if grow == NONE:
        return None
    partition = _partition(manifest, grow)
    if reason := _unsupported_reason(manifest, partition):
        raise RefusedDiskError(
            "RW417",
            f"partition {partition.number} cannot be grown: {reason}",
            "Name another partition in `grow`, or none",
        )
    following = _following(manifest, partition)
    limit = min(_disk_limit(manifest, target_size), following or target_size)
    if manifest.table == "mbr":
        limit = min(limit, partition.start + _MOST_MBR_SECTORS * manifest.sector_size)
    end = limit // _UNIT * _UNIT
    if end > partition.extent.end:
        return Growth(partition, between(partition.start, end))
    if following is None:
        return None
    raise RefusedDiskError(
        "RW418",
        f"partition {partition.number} cannot be grown: it ends at {partition.extent.end}, "
        f"and the next one begins at {following}",
        "Name the last partition in `grow`, or none",
    )


def _partition(manifest: Manifest, grow: str) -> ImagedPartition:
    partitions = [partition for partition in manifest.partitions if partition.number > 0]
    if grow == LAST and partitions:
        return max(partitions, key=lambda partition: partition.start)
    for partition in partitions:
        if str(partition.number) == grow:
            return partition
    numbers = ", ".join(str(partition.number) for partition in partitions) or "none"
    raise RefusedDiskError(
        "RW417",
        f"the image has no partition {grow} to grow; its partitions: {numbers}",
        "Name one of them in `grow`, or none",
    )


def _unsupported_reason(manifest: Manifest, partition: ImagedPartition) -> str:
    """Return why this partition does not grow; empty where it can."""
    if manifest.table == "mbr" and partition.number >= _FIRST_LOGICAL:
        return "it is a logical partition"
    if partition.start < _UNIT:
        return "it begins in the first MiB of the disk, which is written last"
    if not partition.filesystem:
        return "it has no file system that is known"
    if partition.filesystem not in FILE_SYSTEMS:
        return f"there is no way to grow {partition.filesystem}"
    if partition.method != "used-blocks":
        return f"its {partition.filesystem} was kept sector by sector: {partition.reason}"
    return ""


def _following(manifest: Manifest, partition: ImagedPartition) -> int | None:
    """Return where the next partition begins, an extended one with its first record."""
    starts = [other.start for other in manifest.partitions]
    starts += [region.offset for region in manifest.regions if region.kind == "ebr"]
    return min((start for start in starts if start > partition.start), default=None)


def _disk_limit(manifest: Manifest, target_size: int) -> int:
    limit = target_size - _UNIT
    header = manifest.region("gpt-header")
    if manifest.table == "gpt" and header is not None:
        sector = manifest.sector_size
        taken = gpt.parse_header(header.raw, 1).entries_sectors(sector) + 1
        limit = min(limit, target_size - taken * sector)
    return limit
