"""Operations that read or write several disks of one machine. Pure but for what it is given.

All disks are chosen before the first one is read or written, and no two steps may mean the same.
"""

from collections.abc import Sequence

from agent.errors import TerminalError
from agent.steps.disk_choice import describe, find_disk, select_disk
from agent.wire.disk import Disk
from agent.wire.step import Backup, Restore, Step


def captured_with(step: Backup, steps: Sequence[Step], disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """Return the disks that the operation's other backup steps read.

    Raises as ``select_disk``, and TerminalError RW588 where two steps mean the same disk.
    """
    chosen = [(each, select_disk(each.disk, disks)) for each in steps if isinstance(each, Backup)]
    _refuse_shared([(each.image, disk) for each, disk in chosen])
    return tuple(disk for each, disk in chosen if each != step)


def written_with(
    step: Restore, steps: Sequence[Step], disks: Sequence[Disk]
) -> tuple[tuple[Restore, Disk], ...]:
    """Return the operation's other restore steps, each with the disk that it writes.

    Raises as ``find_disk``, and TerminalError RW588 where two steps mean the same disk.
    """
    chosen = [(each, find_disk(each.disk, disks)) for each in steps if isinstance(each, Restore)]
    _refuse_shared([(each.image, disk) for each, disk in chosen])
    return tuple((each, disk) for each, disk in chosen if each != step)


def _refuse_shared(chosen: Sequence[tuple[str, Disk]]) -> None:
    first: dict[str, str] = {}
    for image, disk in chosen:
        if disk.node in first:
            raise TerminalError(
                "RW588",
                f"the steps of images {first[disk.node]} and {image} mean the same disk: "
                f"{describe(disk)}",
                "Name another disk in one of the steps, by its serial, wwn or path",
            )
        first[disk.node] = image
