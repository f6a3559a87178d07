"""What unreadable sectors did to an image: whose they were, and whether it is still good.

An image that lacks the content of files is good, and says so. One that lacks what file systems
need is not. Their checkers decide which it is; those of FAT, exFAT and NTFS do not look into all
folders, so that there every lost byte has to be a file's, or nobody's.
"""

import mmap
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.commands import xfs_db
from agent.commands.partclone import MapRefusedError
from agent.imaging import exfat, fat, lvm
from agent.imaging.extent import Extent, clipped, total
from agent.imaging.gpt import BIOS_BOOT_TYPE
from agent.imaging.losses import (
    MOST_ASKED,
    UNKNOWN,
    Loss,
    Owner,
    losses,
    owners,
    parts_of,
    shown,
    title_of,
)
from agent.imaging.manifest import ImagedPartition, LogicalVolume, Manifest
from agent.imaging.scan import DAMAGED_TABLE, LOST_LABEL, LOST_MAP
from agent.imaging.sparse import copy_range
from agent.plain_text import plain_text
from providers.imaging import fat_files
from providers.imaging.fat_files import UnreadableFilesError

MOST_LINES = 1000
"""Losses of one image that are kept beside it, a line for each."""

_HARMLESS = frozenset(("file", "free"))
_BY_CONTENT = frozenset(("vfat", "exfat", "ntfs"))
_LABEL_AREA = 1 << 20
_XFS_BLOCK_SIZE = slice(4, 8)
"""In the superblock, big-endian."""
_SHOWN = 3
_BOOT_CODE = "code that starts the machine by BIOS may be among them"

Part = ImagedPartition | LogicalVolume
Check = Callable[[Part], str | None]
"""Returns what is wrong with the file system of a part, empty if nothing, None for no checker."""


def lost_places(image: Manifest, disk: Path) -> tuple[Loss, ...]:
    """Return whose the unreadable bytes were, by the image in the sparse file ``disk``."""

    @contextmanager
    def source(extent: Extent) -> Iterator[Path]:
        if extent == Extent(0, image.disk_size):
            yield disk
            return
        with tempfile.TemporaryDirectory(dir=disk.parent) as folder:
            volume = Path(folder) / "volume"
            copy_range(disk, extent.offset, extent.length, volume)
            yield volume

    return tuple(losses(parts_of(image), image.unreadable, source, _owners))


def lines(found: Sequence[Loss]) -> tuple[str, ...]:
    """Return losses as they are kept beside the image."""
    more = len(found) - MOST_LINES
    rest = [f"and {more:,} more places"] if more > 0 else []
    return (*map(str, found[:MOST_LINES]), *rest)


def loss_findings(
    image: Manifest, found: Sequence[Loss], check: Check
) -> Iterator[tuple[bool, str]]:
    """Yield for each part of the disk that lost something whether it is good, and a line."""
    by_part: dict[str, list[Loss]] = {}
    for each in found:
        by_part.setdefault(each.part, []).append(each)
    named: list[tuple[str, Part]] = [(title_of(each.number), each) for each in image.partitions]
    named += [(f"volume {each.group}/{each.name}", each) for each in image.volumes]
    for title, part in named:
        name = f"{title}, {part.filesystem}" if part.filesystem else title
        lost = by_part.pop(name, [])
        if lost:
            size = total(each.extent for each in lost)
            problem = _problem(part, lost, check)
            said = f"{name}: {size:,} bytes that were unreadable are zeros"
            yield not problem, f"{said}: {problem}" if problem else said
    for name, lost in by_part.items():
        size = total(each.extent for each in lost)
        said = f"{name}: {size:,} bytes that were unreadable are zeros"
        problem = _BOOT_CODE if _may_be_boot_code(image, lost) else ""
        yield not problem, f"{said}: {problem}" if problem else said


def _may_be_boot_code(image: Manifest, lost: Sequence[Loss]) -> bool:
    """Whether what was lost outside partitions lies before the first one of a disk for BIOS."""
    first = min((each.start for each in image.partitions), default=0)
    head = Extent(0, first)
    is_there = image.table == "mbr" and image.firmware.bios  # that of a GPT is in a partition
    return is_there and any(list(clipped((each.extent,), head)) for each in lost)


def _problem(part: Part, lost: Sequence[Loss], check: Check) -> str:
    """Return why a part that lost something is not good, empty where it is."""
    if part.reason == LOST_LABEL and not part.filesystem:
        return "nobody can say what it holds any more"
    if part.reason.startswith(DAMAGED_TABLE):
        return "the partition table is damaged"
    if isinstance(part, ImagedPartition) and part.type == BIOS_BOOT_TYPE:
        return _BOOT_CODE
    problem = check(part)
    if problem:
        return f"its file system is damaged, or was not left clean before: {problem}"
    if problem is None and part.reason == LOST_MAP:
        return LOST_MAP
    if part.filesystem == lvm.SIGNATURE and isinstance(part, ImagedPartition):
        area = Extent(part.start, _LABEL_AREA)
        if any(list(clipped((each.extent,), area)) for each in lost):
            return "LVM's label or metadata may be among them"
    if part.filesystem in _BY_CONTENT:
        bad = [each for each in lost if {owner.kind for owner in each.owners} - _HARMLESS]
        if bad:
            whose = ", ".join(dict.fromkeys(str(o) for each in bad for o in each.owners))
            return f"they are not only the content of files: {plain_text(whose)}"
    return ""


def _owners(filesystem: str, volume: Path, places: Sequence[Extent]) -> list[tuple[Owner, ...]]:
    """Return whose each place is, in a FAT or exFAT too, whose folders are read here."""
    if filesystem == "xfs":
        return _of_xfs(volume, places)
    if filesystem not in fat_files.READERS:
        return owners(filesystem, volume, places)
    with volume.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    try:
        known = sorted((extent, path) for path, extent in fat_files.places(filesystem, content))
    except UnreadableFilesError:
        return [(UNKNOWN,)] * len(places)
    extents, paths = [extent for extent, _ in known], [path for _, path in known]
    used = _allocated(filesystem, content)
    return [
        _in_files(place, extents, paths)
        if used is None or any(clipped(used, place))
        else (Owner("free"),)
        for place in places
    ]


def _of_xfs(volume: Path, places: Sequence[Extent]) -> list[tuple[Owner, ...]]:
    """Return whose the blocks of each place are; xfs_db has to read them."""
    with volume.open("rb") as file:
        size = int.from_bytes(file.read(xfs_db.SECTOR)[_XFS_BLOCK_SIZE], "big") or xfs_db.SECTOR
    blocks = [
        (index, block)
        for index, place in enumerate(places)
        for block in range(place.offset // size, -(-place.end // size))
    ]
    asked = blocks[:MOST_ASKED]
    sectors = [block * size // xfs_db.SECTOR for _, block in asked]
    found = xfs_db.owners(volume, sectors)
    known: dict[int, list[Owner]] = {index: [] for index in range(len(places))}
    if len(found) == len(asked):
        for (index, _), (kind, path) in zip(asked, found, strict=True):
            known[index].append(_owner_in_xfs(kind, path))
    for index, _ in blocks[MOST_ASKED:]:
        known[index].append(UNKNOWN)
    return [tuple(dict.fromkeys(known[index])) or (UNKNOWN,) for index in range(len(places))]


def _owner_in_xfs(kind: str, path: str) -> Owner:
    if kind == "data":
        return Owner("file", shown(f"/{path}")) if path else UNKNOWN
    if kind.startswith("free"):
        return Owner("free")
    return Owner("metadata", f"its structure of type {kind}")


def _allocated(filesystem: str, content: memoryview) -> tuple[Extent, ...] | None:
    """Return what is used by the file system's own map, None where it cannot be read."""
    used = {"vfat": fat.used, "exfat": exfat.used}[filesystem]

    def read(offset: int, length: int) -> bytes:
        return bytes(content[offset : offset + length]).ljust(length, b"\0")

    try:
        return used(read, len(content))
    except MapRefusedError:
        return None


def _in_files(place: Extent, extents: Sequence[Extent], paths: Sequence[str]) -> tuple[Owner, ...]:
    """Return whose a place is among extents that are sorted and apart."""
    found, held = [], 0
    for index in range(max(bisect_right(extents, (place.offset, 0)) - 1, 0), len(extents)):
        if extents[index].offset >= place.end:
            break
        part = total(clipped((extents[index],), place))
        if part:
            held += part
            found.append(_owner(paths[index]))
    if held < place.length:
        found.append(Owner("metadata", "what belongs to no file"))
    return tuple(dict.fromkeys(found))


def _owner(path: str) -> Owner:
    if path.endswith("/"):
        return Owner("metadata", f"the folder {shown(path)}")
    if path.removeprefix("/") in fat_files.OWN_FILES:
        return Owner("metadata", f"its {path.removeprefix('/')}")
    return Owner("file", shown(path))
