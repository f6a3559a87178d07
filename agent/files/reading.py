"""Looking at files of a system: what is in a folder, what is in a file. Changes nothing."""

import hashlib
import heapq
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from agent.errors import TerminalError, UnwritableFileError
from agent.wire.listing import MOST_ENTRIES, MOST_TARGET, ListedEntry, Listing

if sys.platform != "win32":  # where no files are read yet
    import grp
    import pwd

_PIECE = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "block"),
    (stat.S_ISCHR, "character"),
)
_IN_WORDS = {
    "folder": "a folder",
    "link": "a symbolic link",
    "pipe": "a pipe",
    "socket": "a socket",
    "block": "a device",
    "character": "a device",
    "other": "no file",
}


def list_folder(path: Path, most: int = MOST_ENTRIES) -> Listing:
    """Return what is in a folder, by the bytes of the names; of what is no folder, that itself.

    A link to a folder is one itself; with a slash at its end (``Path`` has none) or a part after
    it, it is followed as by every program. TerminalError RW284 where nothing is there, RW287
    where it cannot be read.
    """
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return Listing((_entry(os.fsencode(path), path),), 1, is_folder=False)
        folder = os.fsencode(path)
        with os.scandir(folder) as found:
            names = [entry.name for entry in found]
    except OSError as error:
        raise _unreadable(path, error) from error
    return Listing(
        tuple(_entries(folder, heapq.nsmallest(most, names))), len(names), is_folder=True
    )


def _entries(folder: bytes, names: list[bytes]) -> Iterator[ListedEntry]:
    for name in names:
        try:
            yield _entry(name, Path(os.fsdecode(os.path.join(folder, name))))  # noqa: PTH118 - bytes
        except OSError:
            continue  # it went meanwhile


def _entry(name: bytes, path: Path) -> ListedEntry:
    status = path.lstat()
    kind = kind_of(status.st_mode)
    target = os.fsencode(path.readlink())[:MOST_TARGET] if kind == "link" else b""
    return ListedEntry(
        name=name.hex(),
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        owner=_user(status.st_uid),
        group=_group(status.st_gid),
        size=status.st_size,
        modified=int(status.st_mtime),
        target=target.hex(),
    )


def kind_of(mode: int) -> str:
    """Return what a file is, in the words of ``agent.wire.listing``."""
    return next((kind for is_one, kind in _KINDS if is_one(mode)), "other")


def copy_file(path: Path, target: Path, most: int, *, follow: bool) -> tuple[str, int]:
    """Copy what is in a file to ``target``, a new one; return its SHA-256 and size.

    What a file grows by meanwhile counts as long as it is read. TerminalError RW284 where nothing
    is there, RW285 where it is no regular file, RW286 where it has more than ``most`` bytes, RW287
    where it cannot be read; UnwritableFileError RW572 for ``target``.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        _require_file(path, path.stat() if follow else path.lstat(), most)
        descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except OSError as error:
        raise _unreadable(path, error) from error
    digest, size = hashlib.sha256(), 0
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        # Another file may have taken the name since.
        _require_file(path, os.fstat(descriptor), most)
        try:
            with os.fdopen(os.open(target, _NEW, 0o600), "wb") as copy:
                for piece in _pieces(path, source.fileno()):
                    size += len(piece)
                    if size > most:
                        raise _too_large(path, f"more than {most:,}", most)
                    digest.update(piece)
                    copy.write(piece)
        except OSError as error:
            raise UnwritableFileError(target, error.strerror or str(error), error.errno) from error
    return digest.hexdigest(), size


def _pieces(path: Path, descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(descriptor, _PIECE)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not piece:
            return
        yield piece


def _require_file(path: Path, status: os.stat_result, most: int) -> None:
    kind = kind_of(status.st_mode)
    if kind == "link":
        raise TerminalError(
            "RW285",
            f"{path} is a symbolic link to {path.readlink()}, and links are not followed unasked",
            "Name its target, or follow it (`--follow`)",
        )
    if kind != "file":
        raise TerminalError(
            "RW285",
            f"{path} is {_IN_WORDS[kind]} and no regular file",
            "Name a file; `rackwright file ls` shows what is in a folder",
        )
    if status.st_size > most:
        raise _too_large(path, f"{status.st_size:,}", most)


def _too_large(path: Path, size: str, most: int) -> TerminalError:
    return TerminalError(
        "RW286",
        f"{path} has {size} bytes, and {most:,} are the most that is read",
        "Allow more (`--max-size`), or have a command make a part of it first",
    )


def _unreadable(path: Path, error: OSError) -> TerminalError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return TerminalError(
            "RW284",
            f"there is no {path} on the machine",
            "See what is there with `rackwright file ls`",
        )
    return TerminalError(
        "RW287",
        f"{path} cannot be read: {error.strerror or error}",
        "Look at the machine's file system and its log",
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
