"""What may hold a file system on a disk whose system does not run, and devices to mount it by.

Volumes of LVM are found by the metadata on this disk alone, and shown by their places on it.
No group is activated: what another disk has, of the same name or a copy of this one, has no part
in it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from agent.commands import losetup
from agent.commands.blkid import Signature, probe
from agent.errors import TerminalError
from agent.inspection.host_paths import read_number
from agent.wire.disk import Disk, Partition

_CONTAINERS = {
    "crypto_LUKS": "LUKS encryption",
    "linux_raid_member": "Linux software RAID",
    "zfs_member": "ZFS",
    "BitLocker": "BitLocker encryption",
}
_KERNEL_SECTOR = 512
Piece = tuple[int, int]
"""Offset on the disk and length, in bytes."""


@frozen
class DiskPart:
    """A partition, or a volume of LVM whose content lies on the disk alone."""

    place: str
    """As ``ImagedSystem.root`` names it: the partition's number, or ``group/name``."""
    title: str
    """For people: ``partition 2``, ``volume vg/root``."""
    filesystem: str
    label: str
    pieces: tuple[Piece, ...]
    """Where it lies on the disk, from its first to its last byte."""
    partition: Partition | None = None
    uuid: str = ""
    """Of a volume's file system."""
    volume_uuid: str = ""
    devices: tuple[str, ...] = ()
    """Paths by which the running system may call a volume."""
    system_id: str = ""
    """Of a volume's group, see lvmsystemid(7)."""


@frozen
class DiskParts:
    """All parts of a disk, and what is on it that is not looked into."""

    parts: tuple[DiskPart, ...]
    closed: tuple[str, ...]
    """For people: ``partition 2 is LUKS encryption, which is not looked into``."""

    def at(self, place: str | None) -> DiskPart | None:
        """Return the part at a place, None where there is none."""
        return next((part for part in self.parts if part.place == place), None)


def disk_parts(disk: Disk) -> DiskParts:
    """Return what is on the disk; changes nothing.

    CommandError where a program that looks fails, OSError where the disk cannot be read,
    TerminalError RW465 where the pieces of a volume cannot be put together here.
    """
    parts = [_of_partition(each) for each in disk.partitions]
    volumes, closed = _volumes(disk)
    return DiskParts(
        (*parts, *volumes),
        tuple(
            [
                f"{part.title} is {_CONTAINERS[part.filesystem]}, which is not looked into"
                for part in (*parts, *volumes)
                if part.filesystem in _CONTAINERS
            ]
            + closed
        ),
    )


def _of_partition(partition: Partition) -> DiskPart:
    return DiskPart(
        place=str(partition.number),
        title=f"partition {partition.number}",
        filesystem=partition.filesystem,
        label=partition.label,
        pieces=((partition.start, partition.size),),
        partition=partition,
    )


def _volumes(disk: Disk) -> tuple[list[DiskPart], list[str]]:
    """Return the volumes that lie on the disk alone, and why others are not looked into."""
    # Installed agents, which look into no disk, come without it.
    from agent.imaging import lvm  # noqa: PLC0415
    from agent.imaging.lvm_disk import disk_layout  # noqa: PLC0415

    layout = disk_layout(disk)
    titles = {(each.start, each.size): f"partition {each.number}" for each in disk.partitions}
    closed = [
        f"{titles.get(place, 'the disk')} is LVM that is not understood: {problem}"
        for place, problem in layout.problems.items()
    ]
    systems = {group.name: group.system for group in layout.groups}
    volumes = []
    for each in layout.volumes:
        title = f"volume {each.group}/{each.name}"
        if each.reason:
            closed.append(f"{title} is not looked into: {each.reason}")
            continue
        found = _content(disk, each.extents)
        volumes.append(
            DiskPart(
                place=f"{each.group}/{each.name}",
                title=title,
                filesystem=found.filesystem,
                label=found.label,
                pieces=each.extents,
                uuid=found.uuid,
                volume_uuid=each.uuid,
                devices=lvm.device_paths(each.group, each.name),
                system_id=systems[each.group],
            )
        )
    return volumes, closed


def _content(disk: Disk, pieces: Sequence[Piece]) -> Signature:
    if len(pieces) == 1:
        return probe(Path(disk.node), *pieces[0])
    with _composed(disk, pieces, write=False) as device:
        return probe(device, 0, sum(length for _, length in pieces))


@contextmanager
def part_device(sysfs: Path, disk: Disk, part: DiskPart, *, write: bool) -> Iterator[Path]:
    """Yield a device with the part's content.

    For a partition that is written the kernel's own device, where there is one. There is none for a
    disk that is a file, for a partition table that the kernel was not built for, and while its view
    is older than the table that was just restored. For looking it is always one that cannot be
    written: ext4 mounted read-only still deletes files that were open when the system went down.
    """
    node = Path(disk.node)
    if write and part.partition is not None:
        device = kernel_partition(sysfs, node, part.partition)
        if device is not None:
            yield device
            return
    with ExitStack() as stack:
        if len(part.pieces) == 1:
            start, size = part.pieces[0]
            loop = losetup.attached(node, start, size, disk.sector_size, write=write)
            yield stack.enter_context(loop)
            return
        whole = stack.enter_context(_composed(disk, part.pieces, write=write))
        if whole.is_block_device():
            yield whole
            return
        size = sum(length for _, length in part.pieces)
        loop = losetup.attached(whole, 0, size, disk.sector_size, write=False)
        yield stack.enter_context(loop)


@contextmanager
def _composed(disk: Disk, pieces: Sequence[Piece], *, write: bool) -> Iterator[Path]:
    from agent.imaging.extent import Extent  # noqa: PLC0415 - as above
    from agent.imaging.pieces import PiecesError, composed  # noqa: PLC0415

    extents = [Extent(*piece) for piece in pieces]
    whole = composed(Path(disk.node), disk.identity.size, disk.sector_size, extents, write=write)
    with ExitStack() as stack:
        try:
            path = stack.enter_context(whole)
        except PiecesError as error:
            raise TerminalError(
                "RW465",
                f"a volume of LVM cannot be mounted: {error}",
                "Do this in the Deploy-OS, whose kernel has device-mapper",
            ) from error
        yield path


def kernel_partition(sysfs: Path, node: Path, partition: Partition) -> Path | None:
    """Return the device whose place on the disk is the partition's, None where there is none."""
    for entry in sorted((sysfs / "block" / node.name).glob(f"{node.name}*")):
        start = read_number(entry / "start") * _KERNEL_SECTOR
        size = read_number(entry / "size") * _KERNEL_SECTOR
        device = node.with_name(entry.name)
        if (start, size) == (partition.start, partition.size) and device.exists():
            return device
    return None
