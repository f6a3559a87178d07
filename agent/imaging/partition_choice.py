"""Which partitions a backup keeps or a restore writes, and when that is refused. Pure.

A restore of single partitions leaves the rest of the disk alone, the partition table and the boot
code too. So the disk has to have these partitions already, at the places of the image's.
"""

from collections.abc import Collection, Iterable

from attrs import frozen

from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent
from agent.imaging.lvm import SIGNATURE, VolumeGroup
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.imaging.table import Slot, Table
from agent.wire.imaged_layout import PartitionPlace, counted_partitions, differences, listed


@frozen
class Choice:
    """What of an image is restored."""

    partitions: tuple[int, ...] = ()
    """Their numbers; empty for the whole disk."""
    boot_code: bool = False
    """With the partitions, the boot code for BIOS; the whole disk has it always."""


WHOLE_DISK = Choice()


def refuse_choice(node: str, table: Table, problem: str, numbers: Iterable[int]) -> None:
    """Raise RefusedDiskError (RW428) unless the disk has the partitions to back up.

    ``problem`` is why the table is not relied on; empty where it is.
    """
    there = [slot.number for slot in table.slots]
    lacking = [number for number in sorted(numbers) if number not in there]
    if problem:
        cause = f"the partitions of {node} cannot be told apart: {problem}"
    elif lacking:
        cause = f"{node} has no {counted_partitions(lacking)}; it has {listed(sorted(there))}"
    else:
        return
    raise RefusedDiskError("RW428", cause, "Back up the whole disk, or name partitions that it has")


def chosen_places(
    manifest: Manifest, node: str, table: Table, numbers: Collection[int]
) -> tuple[Extent, ...]:
    """Return where partitions ``numbers`` of the image lie, in order; ``table`` is the disk's.

    Raises RefusedDiskError (RW419) where the image does not hold them, the disk has other ones,
    or LVM's volumes lie on them in part only.
    """
    layout, ordered = manifest.layout, sorted(numbers)
    if lacking := layout.missing(ordered):
        raise _refused(f"the image {lacking}", "Name partitions that the image holds")
    if differing := differences(layout, ordered, table.kind, map(_place, table.slots)):
        raise _refused(
            f"{node} has other partitions than the image: {differing}",
            "Name other partitions, or restore the whole disk",
        )
    if split := split_lvm(manifest.partitions, numbers):
        raise _refused(f"the image has LVM on {split}", "Name all of them, or none")
    return tuple(part.extent for part in manifest.partitions if part.number in numbers)


def split_lvm(partitions: Iterable[ImagedPartition], numbers: Collection[int]) -> str:
    """Return which partitions have LVM where some of them are chosen and some are not; or empty.

    Physical volumes of one group know of each other: one that comes back alone is older than what
    the others say, and LVM goes by these.
    """
    found = sorted(part.number for part in partitions if part.filesystem == SIGNATURE)
    chosen = [number for number in found if number in numbers]
    return counted_partitions(found) if 0 < len(chosen) < len(found) else ""


def refuse_other_volumes(node: str, groups: Iterable[VolumeGroup]) -> None:
    """Raise RefusedDiskError (RW419) where groups on chosen partitions have more volumes elsewhere.

    ``groups`` are those of the physical volumes that the chosen partitions of the disk hold now.
    """
    for group in groups:
        if group.elsewhere:
            raise _refused(
                f"the LVM volume group {group.name} on {node} has {group.elsewhere:,} more "
                "physical volumes, which the restore would leave as they are",
                "Remove the group there first, or restore the whole disk",
            )


def _refused(cause: str, action: str) -> RefusedDiskError:
    return RefusedDiskError("RW419", cause, action)


def _place(slot: Slot) -> PartitionPlace:
    return PartitionPlace(slot.number, slot.extent.offset, slot.extent.length, slot.type)
