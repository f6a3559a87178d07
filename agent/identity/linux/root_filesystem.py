"""Finding and mounting the root file system of a disk whose system does not run."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import field, frozen

from agent.commands import ntfsinfo, sfdisk
from agent.commands.blkid import probe
from agent.commands.mount import REFUSED, mounted
from agent.errors import CommandError
from agent.identity.linux.disk_parts import DiskPart, DiskParts, disk_parts, part_device
from agent.identity.linux.fstab import (
    FstabEntry,
    Identified,
    is_kernel_name,
    needed_mounts,
    place_of,
    root_source,
)
from agent.identity.linux.image_tree import ImageTree, ImageTreeError
from agent.identity.linux.unsuitable import (
    OR_KEEP,
    NoRootFileSystemError,
    NotMountedError,
    UnsuitableSystemError,
)
from agent.wire.disk import Disk

_log = logging.getLogger(__name__)

_ROOT_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
# Where installers put the root: the default subvolume, Ubuntu and SUSE, Debian, Fedora.
_SUBVOLUMES = ("", "@", "@rootfs", "root")
_WINDOWS = "/Windows/System32"


@frozen
class RootPlace:
    """Where the root file system is: a part of the disk and, on btrfs, a subvolume."""

    part: DiskPart
    subvolume: str = ""

    def options(self) -> tuple[str, ...]:
        """Return the mount options that lead there."""
        return (f"subvol={self.subvolume}",) if self.subvolume else ()


def find_root(sysfs: Path, disk: Disk) -> RootPlace:
    """Return the only place on the disk that has ``/etc/os-release``; changes nothing.

    Volumes of LVM may be the disks of guests: beside another root, one is only taken for a root
    where its own fstab calls it so, and one that cannot be mounted only counts where no place
    calls itself the root.

    UnsuitableSystemError RW460 where there is none, naming what stands in the way; RW461 where
    there are several; RW465 where a part that may have one cannot be mounted; RW466 where
    Windows is there instead. CommandError, OSError and TerminalError as ``disk_parts``.
    """
    known = disk_parts(disk)
    found: list[RootPlace] = []
    unmounted: list[NotMountedError] = []
    for part in known.parts:
        if part.filesystem in _ROOT_TYPES:
            try:
                found += _places(sysfs, disk, part)
            except NotMountedError as error:
                if part.partition is not None:
                    raise
                unmounted.append(error)
    places = found
    if unmounted or len(found) > 1:
        identified = _identified(disk, known)
        own = [place for place in found if _names_itself(sysfs, disk, place, identified)]
        if unmounted and not own:
            raise unmounted[0]
        places = [place for place in found if place.part.partition is not None or place in own]
    if len(places) == 1:
        return places[0]
    if found:
        titles = ", ".join(place.part.title for place in places or found)
        raise UnsuitableSystemError(
            "RW461",
            f"the disk holds several root file systems ({titles})",
            f"Use an image with one system, {OR_KEEP}",
        )
    windows = _windows_part(sysfs, disk, known)
    if windows is not None:
        raise UnsuitableSystemError(
            "RW466",
            f"{windows.title} holds Windows, and Windows systems get no identity yet",
            "Keep the image's own identity (identity: keep)",
            system="Windows",
        )
    nothing = "no file system on it has /etc/os-release"
    raise NoRootFileSystemError(disk.holds, "; ".join(known.closed) or nothing)


def _names_itself(
    sysfs: Path, disk: Disk, place: RootPlace, identified: Sequence[Identified]
) -> bool:
    with (
        TemporaryDirectory(prefix="rackwright-look-") as directory,
        _Mounts.of(sysfs, disk, write=False) as mounts,
    ):
        mounts.add(place, Path(directory))
        try:
            entry = root_source(ImageTree(Path(directory)).read_text("/etc/fstab") or "")
        except ImageTreeError:
            return False
    return entry is not None and place_of(entry, identified) == place.part.place


@contextmanager
def root_tree(
    sysfs: Path, disk: Disk, place: RootPlace, *, write: bool, others: Sequence[Disk] = ()
) -> Iterator[ImageTree]:
    """Yield the mounted root, with ``/usr`` and ``/var`` where they are separate file systems.

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
        known = disk_parts(disk) if entries else DiskParts((), ())
        own = _identified(disk, known) if entries else []
        for entry in entries:
            spot = root / tree.target(entry.place).lstrip("/")
            part = known.at(place_of(entry, own))
            if part is not None:
                mounts.add(RootPlace(part, entry.subvolume), spot)
                continue
            found = _on_other_disk(entry, others)
            if found is None:
                raise _elsewhere(entry)
            other, part = found
            mounts.add(RootPlace(part, entry.subvolume), spot, other)
        yield tree


def _on_other_disk(entry: FstabEntry, others: Sequence[Disk]) -> tuple[Disk, DiskPart] | None:
    """Return the part of another disk that the entry means; None where there is none.

    The kernel's name of a partition says nothing there: it is of another disk at each start.
    """
    if is_kernel_name(entry.source):
        return None
    for other in others:
        known = disk_parts(other)
        part = known.at(place_of(entry, _identified(other, known)))
        if part is not None:
            return other, part
    return None


@frozen
class _Mounts:
    """What is mounted of a disk and those that belong to it, until ``stack`` is closed.

    A part has one device for all of its mounts: Btrfs refuses a second one with the
    same file system.
    """

    sysfs: Path
    disk: Disk
    write: bool
    stack: ExitStack = field(factory=ExitStack)
    devices: dict[tuple[str, str], Path] = field(factory=dict)

    @classmethod
    @contextmanager
    def of(cls, sysfs: Path, disk: Disk, *, write: bool) -> "Iterator[_Mounts]":
        mounts = cls(sysfs, disk, write)
        with mounts.stack:
            yield mounts

    def add(self, place: RootPlace, spot: Path, disk: Disk | None = None) -> None:
        """Mount it, of another ``disk`` too; UnsuitableSystemError RW465 where that is refused."""
        part, disk = place.part, disk or self.disk
        key = disk.node, part.place
        if key not in self.devices:
            self.devices[key] = self.stack.enter_context(
                part_device(self.sysfs, disk, part, write=self.write)
            )
        device = self.devices[key]
        options = place.options()
        try:
            self.stack.enter_context(
                mounted(device, spot, part.filesystem, write=self.write, options=options)
            )
        except CommandError as error:
            if error.status != REFUSED:
                raise
            _log.warning("%s", error)
            inside = f"subvolume {place.subvolume} of " if place.subvolume else ""
            raise NotMountedError(f"{inside}{part.title} ({part.filesystem})") from error


def _places(sysfs: Path, disk: Disk, part: DiskPart) -> list[RootPlace]:
    """Return the root directories in one part of the disk."""
    subvolumes = _SUBVOLUMES if part.filesystem == "btrfs" else ("",)
    with (
        TemporaryDirectory(prefix="rackwright-look-") as directory,
        _Mounts.of(sysfs, disk, write=False) as mounts,
    ):
        mounts.add(RootPlace(part), Path(directory))
        tree = ImageTree(Path(directory))
        return [RootPlace(part, name) for name in subvolumes if _is_root(tree, name)]


def _is_root(tree: ImageTree, subvolume: str) -> bool:
    """Return whether a root directory is there; a file system that is none may hold anything."""
    name = f"/{subvolume}/etc/os-release" if subvolume else "/etc/os-release"
    try:
        # With a separate /usr the link leads nowhere yet.
        return tree.exists(name) or tree.is_symlink(name)
    except ImageTreeError:
        return False


def _windows_part(sysfs: Path, disk: Disk, known: DiskParts) -> DiskPart | None:
    for part in known.parts:
        if part.filesystem == "ntfs":
            with part_device(sysfs, disk, part, write=False) as device:
                if ntfsinfo.has_path(device, _WINDOWS):
                    return part
    return None


def _identified(disk: Disk, known: DiskParts) -> list[Identified]:
    node = Path(disk.node)
    entries = sfdisk.read_table(node, disk.sector_size).entries
    names = {str(entry.number): entry.name for entry in entries}
    return [
        Identified(
            place=part.place,
            uuid=probe(node, *part.pieces[0]).uuid if part.partition else part.uuid,
            label=part.label,
            partuuid=part.partition.uuid if part.partition else "",
            partlabel=names.get(part.place, ""),
            volume_uuid=part.volume_uuid,
            devices=part.devices,
        )
        for part in known.parts
    ]


def _elsewhere(entry: FstabEntry) -> UnsuitableSystemError:
    return UnsuitableSystemError(
        "RW468",
        f"/etc/fstab mounts {entry.place} from {entry.source}, which is not on the disk",
        f"Use an image whose {entry.place} is on a partition or a volume of LVM on the same disk, "
        "or on one that is captured and restored with it, named in /etc/fstab by UUID= or LABEL=, "
        f"{OR_KEEP}",
    )
