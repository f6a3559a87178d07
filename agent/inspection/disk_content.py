"""What is on a disk: sfdisk, blkid and the kernel are asked, and where all are silent, the disk.

None of them is believed alone. A disk that holds more than one thing, or on which they
disagree, is described by all of it and named as a problem.
"""

from pathlib import Path

from attrs import frozen

from agent.commands.blkid import TABLE, Signature, probe
from agent.commands.sfdisk import PartitionTable, TableEntry, read_table
from agent.inspection.kernel_partitions import kernel_partitions
from agent.inspection.sampling import Budget, content_of
from agent.wire.disk import Partition

_EXTENDED = frozenset({"0x05", "0x0f", "0x85"})

_MEMBERS = {
    "linux_raid_member": "a Linux software RAID",
    "isw_raid_member": "an Intel RST RAID",
    "ddf_raid_member": "a DDF RAID",
    "LVM1_member": "an LVM volume group",
    "LVM2_member": "an LVM volume group",
    "zfs_member": "a ZFS pool",
    "ceph_bluestore": "a Ceph cluster",
    "stratis": "a Stratis pool",
    "bcache": "a bcache set",
    "drbd": "a DRBD resource",
    "VMFS_volume_member": "a VMFS datastore",
}
"""Formats, as blkid names them, of disks that are one part of something larger."""


@frozen
class DiskContent:
    """What is on a disk, in the fields of ``Disk``, and what is wrong with it, without its name."""

    holds: str
    table: str = ""
    partitions: tuple[Partition, ...] = ()
    part_of: str = ""
    problems: tuple[str, ...] = ()


def disk_content(
    node: Path, block: Path, size: int, sector_size: int, budget: Budget
) -> DiskContent:
    """Return what is on the disk ``node``, whose directory in sysfs is ``block``.

    ``budget`` is for samples of a disk on which nothing is recognised. Raises CommandError,
    TerminalError RW568 and OSError where the disk cannot be read.
    """
    table = read_table(node, sector_size)
    whole = probe(node, 0, size)
    if not table.entries and not whole.table and whole.filesystem:
        table = PartitionTable()  # an empty MBR in the boot sector of a file system
    partitions = tuple(_partition(node, entry, table) for entry in table.entries)
    part_of = _part_of(whole)
    problems = [*table.remarks, *_disagreement(table, block)]
    if part_of:
        problems.append(f"the whole disk is part of {part_of}")
    elif whole.several:
        problems.append(f"the whole disk holds {' and '.join(whole.several)}")
    problems += [
        f"partition {each.number} holds {' and '.join(each.several)}"
        for each in partitions
        if each.several
    ]
    return DiskContent(
        holds=_holds(whole, part_of, summary(table, partitions))
        or content_of(node, size, sector_size, budget),
        table=table.label,
        partitions=partitions,
        part_of=part_of,
        problems=tuple(problems),
    )


def _partition(node: Path, entry: TableEntry, table: PartitionTable) -> Partition:
    content = Signature() if _is_extended(table, entry) else probe(node, entry.start, entry.size)
    return Partition(
        number=entry.number,
        start=entry.start,
        size=entry.size,
        type=entry.type,
        uuid=entry.uuid,
        filesystem=content.filesystem,
        label=content.label,
        several=content.several,
    )


def _is_extended(table: PartitionTable, entry: TableEntry) -> bool:
    return table.label == "mbr" and entry.type in _EXTENDED


def _disagreement(table: PartitionTable, block: Path) -> list[str]:
    """Name a kernel that has other partitions than the table; one that shows none is no witness."""
    extended = {entry.start for entry in table.entries if _is_extended(table, entry)}
    wanted = {(each.start, each.size) for each in table.entries if each.start not in extended}
    shown = {place for place in kernel_partitions(block) if place[0] not in extended}
    return ["Linux has other partitions than the table"] if shown and shown != wanted else []


def _part_of(whole: Signature) -> str:
    """Return what the disk as a whole is a part of, with its name; empty where it is not."""
    kind = _MEMBERS.get(whole.filesystem, "")
    if not kind and whole.filesystem.endswith("_raid_member"):
        kind = f"a RAID ({whole.filesystem})"
    return f"{kind} ({whole.label})" if kind and whole.label else kind


def summary(table: PartitionTable, partitions: tuple[Partition, ...]) -> str:
    """Return ``gpt, 2 partitions: vfat, ext4``, empty for a disk without a table."""
    if not table.label:
        return ""
    if not partitions:
        return f"{table.label}, no partitions"
    count = "1 partition" if len(partitions) == 1 else f"{len(partitions)} partitions"
    contents = ", ".join(part.content for part in partitions)
    return f"{table.label}, {count}: {contents}"


def _holds(whole: Signature, part_of: str, partitions: str) -> str:
    """Return what is on the disk in one line; empty where nothing was recognised.

    ``partitions`` is the summary of its table, ``part_of`` what it belongs to.
    """
    formats = [name for name in whole.several or (whole.filesystem,) if name]
    if partitions:
        formats = [name for name in formats if not name.endswith(TABLE)]
    if part_of:
        on_it = f"part of {part_of}"
    elif formats:
        on_it = f"{' and '.join(formats)} on the whole disk"
    else:
        on_it = f"{whole.table} {TABLE}" if whole.table and not partitions else ""
    return "; ".join(filter(None, (on_it, partitions)))
