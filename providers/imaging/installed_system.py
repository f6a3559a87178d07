"""The installed system of a mounted image: its release and its packages.

Its files are copied into a directory of their own, and read there by the agent's readers. So
nothing of the image runs, no link leads into this system, databases that want to be written can
be, and rpm, which changes into the root that it is given, finds no programs there.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from agent.commands.blkid import probe
from agent.commands.mount import mounted
from agent.errors import CommandError
from agent.identity.linux.fstab import FstabEntry, Identified, needed_mounts, place_of
from agent.identity.linux.image_tree import ImageTree, ImageTreeError
from agent.imaging.manifest import Manifest
from agent.inspection.host_paths import HostPaths
from agent.inventory.linux import DATABASES, RELEASES, LinuxCollector, os_release
from agent.wire.inventory import Package
from providers.imaging.errors import NoSystemError
from providers.imaging.image_layout import ImagePart, image_parts
from providers.imaging.image_mount import FROM_FILE, temporary_place

_SUBVOLUMES = ("", "@", "@rootfs", "root")
"""Where installers put the root on Btrfs: the default subvolume, Ubuntu, Debian, Fedora."""
_DPKG_JOURNAL = "var/lib/dpkg/updates"
"""What dpkg had not yet merged into its status: files ``0000`` and so on."""
_MOST_UPDATES = 250
"""Files there, after which dpkg merges them (MAXUPDATES of its dbmodify.c)."""
_MOST_BYTES = 1 << 30
"""Of a database; that of 10,000 packages has some 300 MiB."""
_MOST_TEXT = 1 << 20
"""Bytes of os-release, or of one package's state."""


@frozen
class InstalledSoftware:
    """What os-release(5) and the package managers' databases say."""

    os_id: str
    os_version: str
    os_name: str
    packages: tuple[Package, ...]
    """Sorted by name."""


@frozen
class SystemRoot:
    """Where the root file system of an installed system is, and its files while it is mounted."""

    part: ImagePart
    subvolume: str
    """On Btrfs, from the top; empty for the default one."""
    tree: ImageTree


@contextmanager
def system_root(image: Manifest, files: Path) -> Iterator[SystemRoot]:
    """Mount the root of the image's only system, with its ``/usr`` and ``/var``, for the block.

    ``files`` is where the image is mounted. Needs root, and a private mount namespace where
    nobody shall see it. NoSystemError RW459 where there is no such system, or several of which
    the manifest does not name one.
    """
    parts = image_parts(image)
    known = image.system.root if image.system else ""
    found, obstacles = _roots(files, [each for each in parts if known in ("", each.place)])
    if len(found) != 1:
        places = ", ".join(part.title for part, _ in found)
        none = "; ".join(["no file system has /etc/os-release", *obstacles])
        raise NoSystemError(f"there are several root file systems: {places}" if found else none)
    part, subvolume = found[0]
    with ExitStack() as stack:
        root = stack.enter_context(temporary_place())
        stack.enter_context(_shown(files, part, root, subvolume))
        tree = ImageTree(root)
        for entry in needed_mounts(tree.read_text("/etc/fstab") or ""):
            other = _named(entry, parts, files)
            if other is None:
                raise NoSystemError(
                    f"its /etc/fstab mounts {entry.place} from {entry.source}, which is not in it"
                )
            spot = root / tree.target(entry.place).lstrip("/")
            stack.enter_context(_shown(files, other, spot, entry.subvolume))
        yield SystemRoot(part, subvolume, tree)


def read_software(tree: ImageTree) -> InstalledSoftware:
    """Return what is installed in a system.

    NoSystemError RW459 where there is no database of packages; CommandError RW565,
    MissingCommandError RW566 where its program does not read it; ImageTreeError RW464 for
    odd files.
    """
    with TemporaryDirectory(prefix="rackwright-packages-") as folder:
        root = Path(folder)
        copied = [each for each in DATABASES if _copy(tree, each, root)]
        for name in tree.list_names(f"/{_DPKG_JOURNAL}", "[0-9]" * 4)[:_MOST_UPDATES]:
            _copy(tree, f"{_DPKG_JOURNAL}/{name}", root, _MOST_TEXT)
        for each in RELEASES:
            _copy(tree, each, root, _MOST_TEXT)
        if not copied:
            raise NoSystemError("it has neither dpkg's nor rpm's database")
        entries = LinuxCollector(HostPaths(root=root)).sections()["packages"]()
        packages = [each for each in entries if isinstance(each, Package)]
        release = os_release(root)
    return InstalledSoftware(
        os_id=release.get("ID", "linux"),
        os_version=release.get("VERSION_ID", ""),
        os_name=release.get("PRETTY_NAME") or release.get("NAME", ""),
        packages=tuple(sorted(packages, key=lambda each: (each.name, each.version))),
    )


Place = tuple[ImagePart, str]
"""A file system and the subvolume of a root directory in it."""


def _roots(files: Path, parts: Sequence[ImagePart]) -> tuple[list[Place], list[str]]:
    """Return where roots are, and which file systems cannot be looked into."""
    found: list[Place] = []
    obstacles = []
    for part in parts:
        if not part.has_file_system:
            continue
        try:
            found += _roots_of(files, part)
        except CommandError as error:
            obstacles.append(f"{part.title} cannot be mounted: {error.line}")
    return found, obstacles


def _roots_of(files: Path, part: ImagePart) -> Iterator[Place]:
    """Yield the place of the first root directory on a file system."""
    for subvolume in _SUBVOLUMES if part.filesystem == "btrfs" else ("",):
        try:
            with temporary_place() as spot, _shown(files, part, spot, subvolume):
                if _is_root(ImageTree(spot)):
                    yield part, subvolume
                    return
        except CommandError:
            if not subvolume:  # else there is no such subvolume
                raise


@contextmanager
def _shown(files: Path, part: ImagePart, spot: Path, subvolume: str) -> Iterator[None]:
    options = [*FROM_FILE, *([f"subvol={subvolume}"] if subvolume else [])]
    device = files / part.file
    with mounted(device, spot, part.filesystem, write=False, options=options):
        yield


def _is_root(tree: ImageTree) -> bool:
    """Return whether os-release is there, or a link to it, which leads to a separate /usr."""
    try:
        return any(tree.exists(each) or tree.is_symlink(each) for each in RELEASES)
    except ImageTreeError:
        return False


def _named(entry: FstabEntry, parts: Sequence[ImagePart], files: Path) -> ImagePart | None:
    """Return the part that an entry of fstab means, None where none is it."""
    identified = [
        Identified(
            place=part.place,
            uuid=probe(files / part.file, 0, part.size).uuid if part.has_file_system else "",
            label=part.label,
            partuuid="" if part.devices else part.uuid,
            volume_uuid=part.uuid if part.devices else "",
            devices=part.devices,
        )
        for part in parts
    ]
    found = place_of(entry, identified)
    return next((part for part in parts if part.place == found), None)


def _copy(tree: ImageTree, path: str, root: Path, most: int = _MOST_BYTES) -> bool:
    """Copy a regular file of the image below ``root``; return whether there was one."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return tree.copy_out(f"/{path}", target, most)
