"""Two trees of files compared, name by name.

The trees are those of images and may be hostile: no symbolic link is followed, nothing but
regular files is opened, and directories are gone through entry by entry, so that memory depends
on how deep a tree is and not on how many files it has.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.imaging.extent import Extent

ADDED, REMOVED, CHANGED, UNREADABLE = "added", "removed", "changed", "unreadable"
MOST_LEVELS = 200
"""Directories below one another that are compared; each takes up to three open files."""

_BLOCK = 1 << 20
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = _LOOK | os.O_DIRECTORY
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}

Ranges = Callable[[int, int], Iterable[Extent]]
"""Which ranges of two open files of one size may differ; the others are known to be equal."""


class FileChange(NamedTuple):
    """What became of a path."""

    path: str
    """From the tree's root; bytes that are no UTF-8 are surrogates (PEP 383)."""
    kind: str
    """``added``, ``removed``, ``changed`` or ``unreadable``."""
    details: tuple[str, ...] = ()
    """What changed, such as ``content`` or ``mode 0644 -> 0600``; why it is unreadable."""


def everything(one: int, two: int) -> Iterable[Extent]:
    """Let files be read whole."""
    del two
    return (Extent(0, os.fstat(one).st_size),)


def compare_trees(first: Path, second: Path, ranges: Ranges = everything) -> Iterator[FileChange]:
    """Yield what differs in the second tree, in no particular order.

    Content, type, permissions, owner, link targets and device numbers count; times, extended
    attributes and hard links do not. What cannot be read is ``unreadable``.
    """
    with _opened(str(first), None, _FOLDER) as one, _opened(str(second), None, _FOLDER) as two:
        yield from _Comparison(ranges).folders("", one, two, 0)


class _Comparison:
    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges

    def folders(
        self, path: str, one: int | None, two: int | None, level: int
    ) -> Iterator[FileChange]:
        """Compare two open directories, of which one may not be there."""
        if level > MOST_LEVELS:
            yield FileChange(path or "/", UNREADABLE, (f"more than {MOST_LEVELS} levels deep",))
            return
        try:
            if one is not None:
                with os.scandir(one) as entries:
                    for entry in entries:
                        yield from self._entry(path, entry.name, one, two, level)
            if two is not None:
                with os.scandir(two) as entries:
                    for entry in entries:
                        if one is None or not _exists(entry.name, one):
                            yield from self._entry(path, entry.name, None, two, level)
        except OSError as error:
            yield FileChange(path or "/", UNREADABLE, (_words(error),))

    def _entry(
        self, folder: str, name: str, one: int | None, two: int | None, level: int
    ) -> Iterator[FileChange]:
        path = f"{folder}/{name}"
        try:
            before, after = _status(name, one), _status(name, two)
            details = self._differences(name, one, two, before, after)
            if before is None or after is None:
                yield FileChange(path, REMOVED if after is None else ADDED)
            elif details:
                yield FileChange(path, CHANGED, details)
            if _is_folder(before) or _is_folder(after):
                with (
                    _inner(name, one, before) as first,
                    _inner(name, two, after) as second,
                ):
                    yield from self.folders(path, first, second, level + 1)
        except OSError as error:
            yield FileChange(path, UNREADABLE, (_words(error),))

    def _differences(
        self,
        name: str,
        one: int | None,
        two: int | None,
        before: os.stat_result | None,
        after: os.stat_result | None,
    ) -> tuple[str, ...]:
        if before is None or after is None or one is None or two is None:
            return ()
        kinds = stat.S_IFMT(before.st_mode), stat.S_IFMT(after.st_mode)
        if kinds[0] != kinds[1]:
            return (f"{_TYPES.get(kinds[0], 'other')} -> {_TYPES.get(kinds[1], 'other')}",)
        found = []
        if kinds[0] == stat.S_IFREG and not self._same_content(name, one, two, before, after):
            found.append("content")
        if kinds[0] == stat.S_IFLNK:
            targets = os.readlink(name, dir_fd=one), os.readlink(name, dir_fd=two)
            if targets[0] != targets[1]:
                found.append(f"target {targets[0]} -> {targets[1]}")
        if kinds[0] in (stat.S_IFBLK, stat.S_IFCHR) and before.st_rdev != after.st_rdev:
            found.append("device number")
        modes = stat.S_IMODE(before.st_mode), stat.S_IMODE(after.st_mode)
        if modes[0] != modes[1]:
            found.append(f"mode {modes[0]:04o} -> {modes[1]:04o}")
        owners = (before.st_uid, before.st_gid), (after.st_uid, after.st_gid)
        if owners[0] != owners[1]:
            found.append("owner {}:{} -> {}:{}".format(*owners[0], *owners[1]))
        return tuple(found)

    def _same_content(
        self, name: str, one: int, two: int, before: os.stat_result, after: os.stat_result
    ) -> bool:
        if before.st_size != after.st_size:
            return False
        with _opened(name, one) as first, _opened(name, two) as second:
            return all(same_bytes(first, second, each) for each in self._ranges(first, second))


def same_bytes(one: int, two: int, part: Extent) -> bool:
    """Return whether two open files have the same bytes in a range; holes are not read."""
    position = part.offset
    while True:
        starts = [_next_data(each, position) for each in (one, two)]
        position = min((each for each in starts if each is not None), default=part.end)
        length = min(_BLOCK, part.end - position)
        if length <= 0:
            return True
        if os.pread(one, length, position) != os.pread(two, length, position):
            return False
        position += length


def _next_data(descriptor: int, position: int) -> int | None:
    """Return where data follow that may be other than zeros, None where only a hole does."""
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


@contextmanager
def _opened(name: str, folder: int | None, flags: int = _LOOK) -> Iterator[int]:
    """Open a name in a directory for the block, never a link's target."""
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _inner(name: str, folder: int | None, status: os.stat_result | None) -> Iterator[int | None]:
    """Open a directory for the block; None where the name is something else."""
    if not _is_folder(status):
        yield None
        return
    with _opened(name, folder, _FOLDER) as descriptor:
        yield descriptor


def _status(name: str, folder: int | None) -> os.stat_result | None:
    """Return what a name is, None where it is not there."""
    if folder is None:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _exists(name: str, folder: int) -> bool:
    return _status(name, folder) is not None


def _is_folder(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _words(error: OSError) -> str:
    return error.strerror or str(error)
