"""How small a file system in a file can be, and making it so, by its own tools."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from agent.commands import btrfs, e2fsck, ntfsfix, ntfsresize, resize2fs
from agent.commands.mount import mounted
from agent.errors import CommandError, MissingCommandError
from agent.imaging.growable import BTRFS, LEAST_BTRFS
from providers.imaging.errors import ShrinkError

_NTFS_ROOM = 1 << 20
"""Bytes beyond what ntfsresize says, which leaves out the copy of the boot sector."""
_EXT_BLOCK_PLACE = 1024 + 0x18
_LONGEST = 300


@frozen
class _Tool:
    smallest: Callable[[Path], int]
    shrink: Callable[[Path, int], None]


def smallest(volume: Path, filesystem: str) -> int:
    """Check a file system and return about the fewest bytes that it needs.

    What its check may repair without a question is repaired. ShrinkError RW448 where it is
    damaged or its tool refuses it.
    """
    with _in_words(filesystem, "measured"):
        return _TOOLS[filesystem].smallest(volume)


def shrink(volume: Path, filesystem: str, size: int) -> None:
    """Make a checked file system, and the file that holds it, ``size`` bytes large.

    ShrinkError RW448 where its tool does not.
    """
    with _in_words(filesystem, f"made {size:,} bytes small"):
        _TOOLS[filesystem].shrink(volume, size)
    with volume.open("r+b") as file:
        file.truncate(size)


@contextmanager
def _in_words(filesystem: str, what: str) -> Iterator[None]:
    try:
        yield
    except MissingCommandError:
        raise
    except CommandError as error:
        said = " ".join(error.words.split())[-_LONGEST:] or error.cause
        raise ShrinkError(
            f"its {filesystem} could not be {what}: {error.program} says {said}",
            "Check it on the captured machine and capture that again, or ask for a larger size "
            "with --to",
        ) from error


def _smallest_ext(volume: Path) -> int:
    e2fsck.check(volume)
    with volume.open("rb") as file:
        file.seek(_EXT_BLOCK_PLACE)
        block = 1024 << int.from_bytes(file.read(4), "little")
    return resize2fs.smallest(volume) * block


def _smallest_ntfs(volume: Path) -> int:
    return ntfsresize.smallest(volume) + _NTFS_ROOM


def _shrink_ntfs(volume: Path, size: int) -> None:
    """Shrink an NTFS that was clean; the restore test checks what came of it.

    A volume that is marked for a check would be kept sector by sector.
    """
    ntfsresize.shrink(volume, size)
    ntfsfix.clear_dirty(volume)


def _smallest_btrfs(volume: Path) -> int:
    with _mounted(volume) as place:
        return max(btrfs.smallest(place), LEAST_BTRFS)


def _shrink_btrfs(volume: Path, size: int) -> None:
    with _mounted(volume) as place:
        btrfs.resize(place, size)


@contextmanager
def _mounted(volume: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rackwright-image-") as folder:
        place = Path(folder)
        with mounted(volume, place, BTRFS, write=True, options=("loop",)):
            yield place


_EXT = _Tool(_smallest_ext, resize2fs.shrink)
_TOOLS = {
    "ext2": _EXT,
    "ext3": _EXT,
    "ext4": _EXT,
    "ntfs": _Tool(_smallest_ntfs, _shrink_ntfs),
    BTRFS: _Tool(_smallest_btrfs, _shrink_btrfs),
}
