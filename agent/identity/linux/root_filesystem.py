"""Finding and mounting the root file system of a disk whose system does not run."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import field, frozen

from agent.commands import losetup, ntfsinfo, sfdisk
from agent.commands.blkid import probe
from agent.commands.mount import REFUSED, mounted
from agent.errors import CommandError
from agent.identity.linux.fstab import (
    FstabEntry,
    Identified,
    is_kernel_name,
    needed_mounts,
    partition_of,
)
from agent.identity.linux.image_tree import ImageTree, ImageTreeError
from agent.identity.linux.unsuitable import (
    OR_KEEP,
    NoRootFileSystemError,
    UnsuitableSystemError,
)
from agent.inspection.host_paths import read_number
from agent.wire.disk import Disk, Partition

_log = logging.getLogger(__name__)

_ROOT_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
_CONTAINERS = {
    "LVM2_member": "LVM",
    "crypto_LUKS": "LUKS encryption",
    "linux_raid_member": "Linux software RAID",
    "zfs_member": "ZFS",
    "BitLocker": "BitLocker encryption",
}
# Where installers put the root: the default subvolume, Ubuntu and SUSE, Debian, Fedora.
_SUBVOLUMES = ("", "@", "@rootfs", "root")
_WINDOWS = "/Windows/System32"
_KERNEL_SECTOR = 512


@frozen
class RootPlace:
    """Where the root file system is: a partition and, on btrfs, a subvolume."""

    partition: Partition
    subvolume: str = ""

    def options(self) -> tuple[str, ...]:
        """Return the mount options that lead there."""
        return (f"subvol={self.subvolume}",) if self.subvolume else ()


def find_root(sysfs: Path, disk: Disk) -> RootPlace:
    """Return the only place on the disk that has ``/etc/os-release``; changes nothing.

    UnsuitableSystemError RW460 where there is none, naming what stands in the way; RW461
    where there are several; RW465 where a partition that may have one cannot be mounted;
    RW466 where Windows is there instead.
    """
    candidates = [part for part in disk.partitions if part.filesystem in _ROOT_TYPES]
    places = [place for part in candidates for place in _places(sysfs, disk, part)]
    if len(places) == 1:
        return places[0]
    if places:
        numbers = ", ".join(str(place.partition.number) for place in places)
        raise UnsuitableSystemError(
            "RW461",
            f"the disk holds several root file systems (partitions {numbers})",
            f"Use an image with one system, {OR_KEEP}",
        )
    windows = _windows_partition(sysfs, disk)
    if windows is not None:
        raise UnsuitableSystemError(
            "RW466",
            f"partition {windows.number} holds Windows, and Windows systems get no identity yet",
            "Keep the image's own identity (identity: keep)",
            system="Windows",
        )
    raise NoRootFileSystemError(disk.holds, _obstacle(disk))


@contextmanager
def root_tree(
    sysfs: Path, disk: Disk, place: RootPlace, *, write: bool, others: Sequence[Disk] = ()
) -> Iterator[ImageTree]:
    """Yield the mounted root, with ``/usr`` and ``/var`` where they are separate partitions.

    ``others`` are disks that belong to the system, too. Everything is unmounted and written out
    when it ends. UnsuitableSystemError RW468 where the system's fstab wants one of these from
    elsewhere than these disks, RW465 where it cannot be mounted.
    """
    with (
        TemporaryDirectory(prefix="rackwright-root-") as directory,
        _Mounts.of(sysfs, disk, write=write) as mounts,
    ):
        root = Path(directory)
        mounts.add(place, root)
        tree = ImageTree(root)
        entries = needed_mounts(tree.read_text("/etc/fstab") or "")
        own = _identified(disk) if entries else []
        for entry in entries:
            spot = root / tree.target(entry.place).lstrip("/")
            partition = partition_of(entry, own)
            if partition is not None:
                mounts.add(RootPlace(partition, entry.subvolume), spot)
                continue
            found = _on_other_disk(entry, others)
            if found is None:
                raise _elsewhere(entry)
            other, partition = found
            mounts.add(RootPlace(partition, entry.subvolume), spot, other)
        yield tree


def _on_other_disk(entry: FstabEntry, others: Sequence[Disk]) -> tuple[Disk, Partition] | None:
    """Return the partition of another disk that the entry means; None where there is none.

    The kernel's name of a partition says nothing there: it is of another disk at each start.
    """
    if is_kernel_name(entry.source):
        return None
    for other in others:
        partition = partition_of(entry, _identified(other))
        if partition is not None:
            return other, partition
    return None


@frozen
class _Mounts:
    """What is mounted of a disk and those that belong to it, until ``stack`` is closed.

    A partition has one device for all of its mounts: Btrfs refuses a second one with the
    same file system.
    """

    sysfs: Path
    disk: Disk
    write: bool
    stack: ExitStack = field(factory=ExitStack)
    devices: dict[tuple[str, int], Path] = field(factory=dict)

    @classmethod
    @contextmanager
    def of(cls, sysfs: Path, disk: Disk, *, write: bool) -> "Iterator[_Mounts]":
        mounts = cls(sysfs, disk, write)
        with mounts.stack:
            yield mounts

    def add(self, place: RootPlace, spot: Path, disk: Disk | None = None) -> None:
        """Mount it, of another ``disk`` too; UnsuitableSystemError RW465 where that is refused."""
        partition, disk = place.partition, disk or self.disk
        key = disk.node, partition.number
        if key not in self.devices:
            self.devices[key] = self.stack.enter_context(
                partition_device(self.sysfs, disk, partition, write=self.write)
            )
        device = self.devices[key]
        options = place.options()
        try:
            self.stack.enter_context(
                mounted(device, spot, partition.filesystem, write=self.write, options=options)
            )
        except CommandError as error:
            if error.status != REFUSED:
                raise
            _log.warning("%s", error)
            inside = f"subvolume {place.subvolume} of " if place.subvolume else ""
            raise UnsuitableSystemError(
                "RW465",
                f"{inside}partition {partition.number} ({partition.filesystem}) cannot be mounted",
                "Check the file system on the golden machine and take the image again; the "
                "agent's log has the message of mount",
            ) from error


def _places(sysfs: Path, disk: Disk, partition: Partition) -> list[RootPlace]:
    """Return the root directories on one partition."""
    subvolumes = _SUBVOLUMES if partition.filesystem == "btrfs" else ("",)
    with (
        TemporaryDirectory(prefix="rackwright-look-") as directory,
        _Mounts.of(sysfs, disk, write=False) as mounts,
    ):
        mounts.add(RootPlace(partition), Path(directory))
        tree = ImageTree(Path(directory))
        return [RootPlace(partition, name) for name in subvolumes if _is_root(tree, name)]


def _is_root(tree: ImageTree, subvolume: str) -> bool:
    """Return whether a root directory is there; a file system that is none may hold anything."""
    name = f"/{subvolume}/etc/os-release" if subvolume else "/etc/os-release"
    try:
        # With a separate /usr the link leads nowhere yet.
        return tree.exists(name) or tree.is_symlink(name)
    except ImageTreeError:
        return False


def _windows_partition(sysfs: Path, disk: Disk) -> Partition | None:
    for partition in disk.partitions:
        if partition.filesystem == "ntfs":
            with partition_device(sysfs, disk, partition, write=False) as device:
                if ntfsinfo.has_path(device, _WINDOWS):
                    return partition
    return None


def _identified(disk: Disk) -> list[Identified]:
    node = Path(disk.node)
    entries = sfdisk.read_table(node, disk.sector_size).entries
    names = {entry.number: entry.name for entry in entries}
    return [
        Identified(part, probe(node, part.start, part.size).uuid, names.get(part.number, ""))
        for part in disk.partitions
    ]


def _obstacle(disk: Disk) -> str:
    inside = [
        f"partition {part.number} is {_CONTAINERS[part.filesystem]}, which is not looked into"
        for part in disk.partitions
        if part.filesystem in _CONTAINERS
    ]
    return "; ".join(inside) or "no partition has a file system with /etc/os-release"


def _elsewhere(entry: FstabEntry) -> UnsuitableSystemError:
    return UnsuitableSystemError(
        "RW468",
        f"/etc/fstab mounts {entry.place} from {entry.source}, which is no partition of the disk",
        f"Use an image whose {entry.place} is on a partition of the same disk or of one that is "
        f"captured and restored with it, named in /etc/fstab by UUID= or LABEL=, {OR_KEEP}",
    )


@contextmanager
def partition_device(
    sysfs: Path, disk: Disk, partition: Partition, *, write: bool
) -> Iterator[Path]:
    """Yield the kernel's device for the partition, else a loop device over its range.

    The kernel has none for a disk that is a file, for a partition table that it was not
    built for, and while its view is older than the table that was just restored. For looking
    it is always a loop device that cannot be written: ext4 mounted read-only still deletes
    files that were open when the system went down.
    """
    node = Path(disk.node)
    device = kernel_partition(sysfs, node, partition) if write else None
    if device is not None:
        yield device
        return
    with losetup.attached(
        node, partition.start, partition.size, disk.sector_size, write=write
    ) as loop:
        yield loop


def kernel_partition(sysfs: Path, node: Path, partition: Partition) -> Path | None:
    """Return the device whose place on the disk is the partition's, None where there is none."""
    for entry in sorted((sysfs / "block" / node.name).glob(f"{node.name}*")):
        start = read_number(entry / "start") * _KERNEL_SECTOR
        size = read_number(entry / "size") * _KERNEL_SECTOR
        device = node.with_name(entry.name)
        if (start, size) == (partition.start, partition.size) and device.exists():
            return device
    return None
