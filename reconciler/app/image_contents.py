"""What is inside an image: its files and packages, alone and beside another image's.

File systems are mounted read-only in a mount namespace of this process, so that nobody else
sees them and they end with it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from agent.errors import CodedError, CommandError, one_line
from agent.imaging.extent import Extent
from agent.imaging.manifest import Manifest
from agent.wire.inventory import Package
from providers.imaging.errors import NoSystemError
from providers.imaging.file_extents import PHYSICAL, FileExtent, file_extents
from providers.imaging.image_layout import ImagePart, image_parts
from providers.imaging.image_mount import (
    enter_private_mounts,
    mounted_image,
    mounted_part,
    temporary_place,
)
from providers.imaging.image_reader import ExtentsReader, ImageReader, stored_manifest
from providers.imaging.installed_system import (
    InstalledSoftware,
    SystemRoot,
    read_software,
    system_root,
)
from providers.imaging.reference import find_image
from providers.imaging.tree_comparison import FileChange, Ranges, compare_trees, everything
from reconciler.app.project import Project
from reconciler.errors import ReconcilerError
from reconciler.planning.image_difference import (
    Found,
    PartChange,
    PlacedChange,
    disk_changes,
    package_changes,
    part_changes,
)


@frozen
class OpenImage:
    """An image whose disk, partitions and volumes are files in ``files``."""

    digest: str
    manifest: Manifest
    parts: tuple[ImagePart, ...]
    files: Path
    reader: ImageReader = field(repr=False)


def require_root(purpose: str) -> None:
    """Raise ReconcilerError RW997 unless this user may mount file systems."""
    if os.geteuid() != 0:
        raise ReconcilerError(
            "RW997",
            f"{purpose} mounts the image's file systems, which only root can do",
            "Run it as root; `rackwright image mount` shows the disk and its partitions without",
        )


@contextmanager
def open_image(state: Path, reference: str) -> Iterator[OpenImage]:
    """Mount an image in a temporary directory for the block, after ``enter_private_mounts``."""
    project = Project("", None, state)
    store = project.store
    digest = find_image(store, reference).digest
    manifest = stored_manifest(store, digest)
    with temporary_place() as place, mounted_image(store.root, digest, place) as mount:
        yield OpenImage(
            digest, manifest, image_parts(manifest), mount.place, ImageReader(manifest, store)
        )


def installed_software(state: Path, reference: str) -> tuple[str, InstalledSoftware]:
    """Return an image's digest and what is installed in it.

    Raises ReconcilerError RW997, NoSystemError RW459, and what mounting and the programs of
    package managers raise.
    """
    require_root("reading what is installed")
    enter_private_mounts()
    with open_image(state, reference) as image, system_root(image.manifest, image.files) as root:
        return image.digest, read_software(root.tree)


def compare_images(
    state: Path, first: str, second: str, on_file: Callable[[PlacedChange], None]
) -> tuple[tuple[str, str], Found]:
    """Return the digests of two images and what differs in the second; files go to ``on_file``.

    Partitions whose chunks are the same are not read. What cannot be compared is among the
    problems. Raises ReconcilerError RW997, and what opening an image raises.
    """
    require_root("comparing images")
    enter_private_mounts()
    with open_image(state, first) as one, open_image(state, second) as two:
        problems: list[str] = []
        before, after = _installed(one), _installed(two)
        packages = None
        if isinstance(before, _Installed) and isinstance(after, _Installed):
            packages = package_changes(before.packages, after.packages)
        elif not (isinstance(before, NoSystemError) and isinstance(after, NoSystemError)):
            problems += (
                f"the packages of {image.digest[:12]} were not read: {one_line(each)}"
                for image, each in ((one, before), (two, after))
                if isinstance(each, CodedError)
            )
        parts = [*disk_changes(one.manifest, two.manifest), *part_changes(one.parts, two.parts)]
        here = _same_root(before, after)
        others = {each.name: each for each in two.parts}
        for part in one.parts:
            other = others.get(part.name)
            if other is None or _is_same(one, part, two, other):
                continue
            if not (part.has_file_system and other.has_file_system):
                if "swap" not in (part.filesystem, other.filesystem):
                    parts.append(PartChange(part.title, ("content",)))
                continue
            try:
                for change in _file_changes(one, part, two, other):
                    on_file(PlacedChange(part.name, change, here.shown(part.name, change.path)))
            except CommandError as error:
                parts.append(PartChange(part.title, ("content",)))
                problems.append(f"the files of {part.title} were not compared: {one_line(error)}")
    return (one.digest, two.digest), Found(tuple(parts), packages, tuple(problems))


@frozen
class _Installed:
    root: SystemRoot
    packages: tuple[Package, ...]


@frozen
class _RootPlace:
    """Which part holds the root of both systems, and where in it."""

    part: str = ""
    folder: str = ""

    def shown(self, part: str, path: str) -> str:
        """Return a path as people know it."""
        if part == self.part and f"{path}/".startswith(f"{self.folder}/"):
            return path[len(self.folder) :] or "/"
        return f"{part}:{path}"


def _same_root(one: _Installed | CodedError, two: _Installed | CodedError) -> _RootPlace:
    if isinstance(one, CodedError) or isinstance(two, CodedError):
        return _RootPlace()
    places = [
        (each.root.part.name, f"/{each.root.subvolume}" if each.root.subvolume else "")
        for each in (one, two)
    ]
    return _RootPlace(*places[0]) if places[0] == places[1] else _RootPlace()


def _installed(image: OpenImage) -> _Installed | CodedError:
    """Return an image's system, or why it cannot be read."""
    try:
        with system_root(image.manifest, image.files) as root:
            return _Installed(root, read_software(root.tree).packages)
    except CodedError as error:
        return error


def _is_same(one: OpenImage, part: ImagePart, two: OpenImage, other: ImagePart) -> bool:
    """Return whether a part has the same chunks at the same place in both images."""
    return part.extents == other.extents and all(
        before == after
        for each in part.extents
        for before, after in zip(one.reader.pieces(each), two.reader.pieces(each), strict=True)
    )


def _file_changes(
    one: OpenImage, part: ImagePart, two: OpenImage, other: ImagePart
) -> Iterator[FileChange]:
    same_place = (part.extents, part.filesystem) == (other.extents, other.filesystem)
    by_chunks = same_place and part.filesystem in PHYSICAL
    ranges = _ranges_by_chunks(one, two, part.extents) if by_chunks else everything
    with (
        temporary_place() as first,
        temporary_place() as second,
        mounted_part(one.files, part, first),
        mounted_part(two.files, other, second),
    ):
        yield from compare_trees(first, second, ranges)


def _ranges_by_chunks(one: OpenImage, two: OpenImage, part: Sequence[Extent]) -> Ranges:
    """Return what finds the ranges of files that lie in other chunks, or at another place.

    ``part`` is where the file system lies in both images.
    """
    place = ExtentsReader(one.reader, part)

    def ranges(first: int, second: int) -> Iterable[Extent]:
        extents = file_extents(first)
        if extents is None or extents != file_extents(second):
            return everything(first, second)
        return _differing_ranges(one, two, place, extents)

    return ranges


def _differing_ranges(
    one: OpenImage, two: OpenImage, place: ExtentsReader, extents: Iterable[FileExtent]
) -> Iterator[Extent]:
    for extent in extents:
        if extent.is_unwritten:
            continue
        position = extent.logical
        for on_disk in place.on_disk(extent.physical, extent.length):
            pieces = zip(one.reader.pieces(on_disk), two.reader.pieces(on_disk), strict=True)
            for (piece, before), (_, after) in pieces:
                if before != after:
                    yield Extent(position, piece.length)
                position += piece.length
