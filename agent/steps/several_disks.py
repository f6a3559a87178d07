"""Operations that read or write several disks of one machine. Pure but for what it is given.

All disks are chosen before the first one is read or written, and no two steps may mean the same.
"""

from collections.abc import Sequence
from itertools import combinations

from agent.errors import TerminalError
from agent.steps.disk_choice import describe, find_disk, select_disk
from agent.wire.disk import Disk
from agent.wire.imaged_layout import are_apart
from agent.wire.step import Backup, Restore, Step


def captured_with(step: Backup, steps: Sequence[Step], disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """Return the other disks that the operation's backup steps read.

    Raises as ``select_disk``, and TerminalError RW588 where two steps mean the same disk, unless
    they read other partitions of it.
    """
    chosen = [(each, select_disk(each.disk, disks)) for each in steps if isinstance(each, Backup)]
    for (one, its), (other, disk) in combinations(chosen, 2):
        if its.node == disk.node and not are_apart(one.partitions, other.partitions):
            raise _same_disk(one, other, disk)
    own = {disk.node for each, disk in chosen if each == step}
    others = {disk.node: disk for _, disk in chosen if disk.node not in own}
    return tuple(others.values())


def written_with(
    step: Restore, steps: Sequence[Step], disks: Sequence[Disk]
) -> tuple[tuple[Restore, Disk], ...]:
    """Return the operation's other restore steps, each with the disk that it writes.

    Raises as ``find_disk``, and TerminalError RW588 where two steps mean the same disk.
    """
    chosen = [(each, find_disk(each.disk, disks)) for each in steps if isinstance(each, Restore)]
    for (one, its), (other, disk) in combinations(chosen, 2):
        if its.node == disk.node:
            raise _same_disk(one, other, disk)
    return tuple((each, disk) for each, disk in chosen if each != step)


def _same_disk(one: Backup | Restore, other: Backup | Restore, disk: Disk) -> TerminalError:
    return TerminalError(
        "RW588",
        f"the steps of images {one.image} and {other.image} mean the same disk: {describe(disk)}",
        "Name another disk in one of the steps, by its serial, wwn or path",
    )
