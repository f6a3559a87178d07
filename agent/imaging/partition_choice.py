"""Which partitions a backup keeps or a restore writes, and when that is refused. Pure.

A restore of single partitions leaves the rest of the disk alone, the partition table and the boot
code too. So the disk has to have these partitions already, at the places of the image's.
"""

from collections.abc import Collection, Iterable

from attrs import frozen

from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent, clipped, merged
from agent.imaging.manifest import Manifest
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
    for group, parts in sorted(_groups(manifest).items()):
        if parts & set(numbers) and parts - set(numbers):
            raise _refused(
                f"the LVM volume group {group} lies on the partitions {listed(sorted(parts))}",
                "Name all of them, or none",
            )
    return tuple(part.extent for part in manifest.partitions if part.number in numbers)


def _refused(cause: str, action: str) -> RefusedDiskError:
    return RefusedDiskError("RW419", cause, action)


def _place(slot: Slot) -> PartitionPlace:
    return PartitionPlace(slot.number, slot.extent.offset, slot.extent.length, slot.type)


def _groups(manifest: Manifest) -> dict[str, set[int]]:
    """Return the numbers of the partitions on which the volumes of each group lie."""
    found: dict[str, set[int]] = {}
    for volume in manifest.volumes:
        extents = merged(volume.extents)
        parts = (part for part in manifest.partitions if any(clipped(extents, part.extent)))
        found.setdefault(volume.group, set()).update(part.number for part in parts)
    return found
