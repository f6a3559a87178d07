"""What lies at ranges of a disk that cannot be read: whose they are, in words for people.

A file system is asked by its own program, where this system has one: debugfs and dumpe2fs for
ext2 to ext4, ntfscluster for NTFS. Programs may fail on a disk like this one: then
nobody knows, which is said. Names come from the disk: they are bounded, and have nothing that
acts on a terminal.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from agent.commands import debugfs, dumpe2fs, ntfscluster
from agent.errors import CommandError
from agent.imaging.extent import Extent, clipped, merged
from agent.imaging.manifest import Manifest
from agent.plain_text import plain_text

MOST_ASKED = 500
"""Blocks of one file system that its program is asked about."""

MOST_WORDS = 20
"""Places of one disk that are named one by one."""

_LONGEST_NAME = 160
_RESERVED_INODES = {1: "the list of bad blocks", 2: "the root folder", 7: "the resize inode"}
_EXT = frozenset(("ext2", "ext3", "ext4"))

Kind = Literal["file", "metadata", "free", "unknown"]


@frozen
class Owner:
    """Whose a place in a file system is: ``name`` is a path or a structure, in words."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """Return it as a person reads it."""
        if self.kind == "file":
            return f"the file {self.name}"
        return self.name or {"free": "nothing that is used"}.get(self.kind, "nobody knows of what")


UNKNOWN = Owner("unknown")


@frozen
class Part:
    """A partition or a volume: ``pieces`` are where its bytes lie on the disk, in order."""

    title: str
    filesystem: str
    pieces: tuple[Extent, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Its title with what it holds: ``partition 1, ext4``."""
        return f"{self.title}, {self.filesystem}" if self.filesystem else self.title


@frozen
class Loss:
    """Bytes of the disk that lie in one part, and whose they were."""

    extent: Extent
    part: str
    owners: tuple[Owner, ...]

    @property
    def place(self) -> str:
        """Return where they lie in words: ``partition 1, ext4: the file /etc/motd``."""
        whose = ", ".join(dict.fromkeys(map(str, self.owners)))
        return f"{self.part}: {whose}" if whose else self.part

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.extent.length:,} bytes at byte {self.extent.offset:,}: {self.place}"


Source = Callable[[Extent], AbstractContextManager[Path]]
"""Provides a range of the disk as a path of its own; CommandError."""
Ask = Callable[[str, Path, Sequence[Extent]], list[tuple[Owner, ...]]]
"""As ``owners``."""


def parts_of(image: Manifest) -> tuple[Part, ...]:
    """Return an image's volumes and partitions; what holds volumes comes behind them."""
    volumes = [
        Part(f"volume {each.group}/{each.name}", each.filesystem, each.extents)
        for each in image.volumes
        if each.extents
    ]
    partitions = [
        Part(
            title_of(each.number),
            each.filesystem,
            (each.extent,),
        )
        for each in image.partitions
    ]
    return (*volumes, *partitions)


def title_of(number: int) -> str:
    """Return what a partition is called; number 0 is a disk without a table."""
    return f"partition {number}" if number else "the whole disk"


def losses(
    parts: Sequence[Part], lost: Sequence[Extent], source: Source, ask: Ask | None = None
) -> Iterator[Loss]:
    """Yield what lies at each of the ranges, by part: whoever has it is asked.

    ``ask`` is ``owners``, or what knows more kinds of file systems. A range in a
    volume is not the partition's too. Of several pieces nobody is asked.
    """
    left = merged(lost)
    for part in parts:
        pieces = merged(part.pieces)
        inside = merged(each for piece in pieces for each in clipped(left, piece))
        if not inside:
            continue
        left = merged(each for extent in left for each in _outside(extent, inside))
        whose = _asked(part, inside, source, ask or owners)
        yield from (Loss(each, part.name, whose.get(each, (UNKNOWN,))) for each in inside)
    yield from (Loss(each, "outside partitions", ()) for each in left)


def words(found: Iterable[Loss], more_than: int = MOST_WORDS) -> str:
    """Return losses as one line, of which the first ones are named."""
    lines = [str(each) for each in found]
    rest = [f"and {len(lines) - more_than:,} more places"] if len(lines) > more_than else []
    return "; ".join((*lines[:more_than], *rest))


def owners(filesystem: str, volume: Path, places: Sequence[Extent]) -> list[tuple[Owner, ...]]:
    """Return whose each place in a file system is; UNKNOWN where nobody can say.

    ``volume`` is a device or file that holds the file system alone; of an ext2, ext3 or ext4 it
    may end with ``?offset=BYTES``.
    """
    asked = places[:MOST_ASKED]
    try:
        if filesystem in _EXT:
            found = _of_ext(volume, asked)
        elif filesystem == "ntfs":
            found = [_of_ntfs(volume, each) for each in asked]
        else:
            found = []
    except CommandError:
        found = []
    return found + [(UNKNOWN,)] * (len(places) - len(found))


def counted(found: Iterable[Loss]) -> dict[Kind, int]:
    """Return how many bytes lie in places of each kind; a place of two kinds counts for both."""
    result: Counter[Kind] = Counter()
    for loss in found:
        for kind in {owner.kind for owner in loss.owners}:
            result[kind] += loss.extent.length
    return dict(result)


def _outside(extent: Extent, taken: Sequence[Extent]) -> Iterator[Extent]:
    position = extent.offset
    for each in clipped(taken, extent):
        yield Extent(position, each.offset - position)
        position = each.end
    yield Extent(position, extent.end - position)


def _asked(
    part: Part, inside: Sequence[Extent], source: Source, ask: Ask
) -> dict[Extent, tuple[Owner, ...]]:
    if len(part.pieces) != 1:
        return {}
    (piece,) = part.pieces
    places = [Extent(each.offset - piece.offset, each.length) for each in inside]
    try:
        with source(piece) as volume:
            return dict(zip(inside, ask(part.filesystem, volume, places), strict=True))
    except CommandError:
        return {}


# --- each file system -------------------------------------------------------------


def _of_ext(volume: Path, places: Sequence[Extent]) -> list[tuple[Owner, ...]]:
    known = dumpe2fs.structures(volume)
    if not known.places:
        return []
    blocks = [_units(each, known.block_size) for each in places]
    asked = [block for each in blocks for block in each][:MOST_ASKED]
    inodes, complete = debugfs.inodes_of_blocks(volume, asked)
    plain = sorted(set(inodes.values()) - {known.journal} - _RESERVED_INODES.keys())
    paths = debugfs.paths_of_inodes(volume, plain) if plain else {}

    def owner(block: int) -> Owner:
        for place in known.places:
            if place.first <= block <= place.last:
                return Owner("metadata", f"its {place.name} (block group {place.group})")
        inode = inodes.get(block)
        if inode is None:
            return Owner("free") if complete and block in asked else UNKNOWN
        if inode == known.journal:
            return Owner("metadata", "its journal")
        if inode in _RESERVED_INODES:
            return Owner("metadata", _RESERVED_INODES[inode])
        return Owner("file", shown(paths.get(inode, f"with inode {inode}")))

    return [tuple(dict.fromkeys(map(owner, each))) for each in blocks]


def _of_ntfs(volume: Path, place: Extent) -> tuple[Owner, ...]:
    sectors = _units(place, ntfscluster.SECTOR)
    found = ntfscluster.owners(volume, sectors[0], sectors[-1])
    if found is None:
        return (UNKNOWN,)
    return tuple(_ntfs_owner(path, attribute) for path, attribute in found) or (Owner("free"),)


def _ntfs_owner(path: str, attribute: str) -> Owner:
    if path.startswith("/$"):
        return Owner("metadata", f"its {shown(path[1:])}")
    if attribute == "$DATA":
        return Owner("file", shown(path))
    return Owner("metadata", f"{attribute} of {shown(path)}")


def _units(place: Extent, size: int) -> range:
    """Return the numbers of the units of ``size`` bytes that a place meets."""
    return range(place.offset // size, -(-place.end // size))


def shown(name: str) -> str:
    """Return a name from a disk as it may be shown."""
    return plain_text(name, _LONGEST_NAME)
