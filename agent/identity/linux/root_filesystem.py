"""Finding and mounting the root file system of a restored disk."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from agent.commands import losetup
from agent.commands.blkid import probe
from agent.commands.mount import mounted
from agent.errors import TerminalError
from agent.identity.linux.fstab import FstabEntry, needed_mounts, partition_of
from agent.identity.linux.image_tree import ImageTree, ImageTreeError
from agent.inspection.host_paths import read_number
from agent.wire.disk import Disk, Partition

_ROOT_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
_CONTAINERS = {
    "LVM2_member": "LVM",
    "crypto_LUKS": "LUKS encryption",
    "linux_raid_member": "Linux software RAID",
    "zfs_member": "ZFS",
}
# Where installers put the root: the default subvolume, Ubuntu and SUSE, Debian, Fedora.
_SUBVOLUMES = ("", "@", "@rootfs", "root")
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

    TerminalError RW460 where there is none, naming what stands in the way; RW461 where
    there are several.
    """
    candidates = [part for part in disk.partitions if part.filesystem in _ROOT_TYPES]
    places = [place for part in candidates for place in _places(sysfs, disk, part)]
    if len(places) == 1:
        return places[0]
    if places:
        numbers = ", ".join(str(place.partition.number) for place in places)
        raise TerminalError(
            "RW461",
            f"{disk.node} holds several root file systems (partitions {numbers})",
            "Use an image with one system, or keep the image's own identity (identity: keep)",
        )
    raise TerminalError(
        "RW460",
        f"no Linux root file system was found on {disk.node} ({disk.holds}): {_obstacle(disk)}",
        "Use an image whose root file system lies directly on a partition (ext4, xfs or btrfs), "
        "or keep the image's own identity (identity: keep)",
    )


@contextmanager
def root_tree(sysfs: Path, disk: Disk, place: RootPlace, *, write: bool) -> Iterator[ImageTree]:
    """Yield the mounted root, with ``/usr`` and ``/var`` where they are separate partitions.

    Everything is unmounted and written out when it ends. TerminalError RW468 where the
    system's fstab wants one of these from elsewhere than this disk.
    """
    with TemporaryDirectory(prefix="rackwright-root-") as directory, ExitStack() as stack:
        root = Path(directory)
        stack.enter_context(_mounted_place(sysfs, disk, place, root, write=write))
        tree = ImageTree(root)
        uuids = [probe(Path(disk.node), part.start, part.size).uuid for part in disk.partitions]
        for entry in needed_mounts(tree.read_text("/etc/fstab") or ""):
            partition = partition_of(entry, disk.partitions, uuids)
            if partition is None:
                raise _elsewhere(disk, entry)
            spot = root / tree.target(entry.place).lstrip("/")
            part_of_tree = RootPlace(partition, entry.subvolume)
            stack.enter_context(_mounted_place(sysfs, disk, part_of_tree, spot, write=write))
        yield tree


@contextmanager
def _mounted_place(
    sysfs: Path, disk: Disk, place: RootPlace, spot: Path, *, write: bool
) -> Iterator[None]:
    partition = place.partition
    options = place.options()
    with (
        partition_device(sysfs, disk, partition) as device,
        mounted(device, spot, partition.filesystem, write=write, options=options),
    ):
        yield


def _places(sysfs: Path, disk: Disk, partition: Partition) -> list[RootPlace]:
    """Return the root directories on one partition."""
    subvolumes = _SUBVOLUMES if partition.filesystem == "btrfs" else ("",)
    with (
        TemporaryDirectory(prefix="rackwright-look-") as directory,
        _mounted_place(sysfs, disk, RootPlace(partition), Path(directory), write=False),
    ):
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


def _obstacle(disk: Disk) -> str:
    inside = [
        f"partition {part.number} is {_CONTAINERS[part.filesystem]}, which is not looked into"
        for part in disk.partitions
        if part.filesystem in _CONTAINERS
    ]
    return "; ".join(inside) or "no partition has a file system with /etc/os-release"


def _elsewhere(disk: Disk, entry: FstabEntry) -> TerminalError:
    return TerminalError(
        "RW468",
        f"/etc/fstab mounts {entry.place} from {entry.source}, "
        f"which is no partition of {disk.node}",
        f"Use an image whose {entry.place} is on a partition of the same disk",
    )


@contextmanager
def partition_device(sysfs: Path, disk: Disk, partition: Partition) -> Iterator[Path]:
    """Yield the kernel's device for the partition, else a loop device over its range.

    The kernel has none for a disk that is a file, for a partition table that it was not
    built for, and while its view is older than the table that was just restored.
    """
    node = Path(disk.node)
    device = kernel_partition(sysfs, node, partition)
    if device is not None:
        yield device
        return
    with losetup.attached(
        node, partition.start, partition.size, disk.sector_size, write=True
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
