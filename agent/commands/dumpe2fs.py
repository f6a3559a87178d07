"""dumpe2fs: where an ext2, ext3 or ext4 has its own structures."""

import re
from pathlib import Path

from attrs import frozen

from agent.commands.runner import run_command

_TIMEOUT = 1800  # seconds
_SIZE = re.compile(r"^Block size: +(\d+)$", re.MULTILINE)
_JOURNAL = re.compile(r"^Journal inode: +(\d+)$", re.MULTILINE)
_GROUP = re.compile(r"^Group (\d+):")
_PLACES = re.compile(
    r"(superblock|Group descriptors|Reserved GDT blocks|Block bitmap|Inode bitmap|Inode table)"
    r" at (\d+)(?:-(\d+))?"
)
_NAMES = {"superblock": "superblock", "Reserved GDT blocks": "room for group descriptors"}


@frozen
class Structure:
    """Blocks ``first`` to ``last`` of a block group."""

    name: str
    group: int
    first: int
    last: int


@frozen
class Structures:
    """Of one file system. ``block_size`` is in bytes, ``journal`` an inode, 0 for none."""

    block_size: int
    journal: int
    places: tuple[Structure, ...]


def structures(volume: Path) -> Structures:
    """Return them, none where the file system cannot be read; CommandError.

    ``volume`` may end with ``?offset=BYTES``.
    """
    # It ends with 1 where bitmaps cannot be read, and has said where they are.
    done = run_command(["dumpe2fs", str(volume)], accept=None, timeout=_TIMEOUT)
    return parse_structures(done.stdout.decode("utf-8", "replace"))


def parse_structures(output: str) -> Structures:
    """Return what dumpe2fs printed; a block size of 0 where it has none."""
    size, journal = _SIZE.search(output), _JOURNAL.search(output)
    places, group = [], 0
    for line in output.splitlines():
        if found := _GROUP.match(line):
            group = int(found[1])
        for kind, first, last in _PLACES.findall(line):
            name = _NAMES.get(kind, kind.lower())
            places.append(Structure(name, group, int(first), int(last or first)))
    return Structures(int(size[1]) if size else 0, int(journal[1]) if journal else 0, tuple(places))
