"""The content store: whole files by their SHA-256 in one directory.

::

    files/ab/<sha256>        whole files, verified before they get the name
    incoming/<sha256>.part   what is being transferred, or was when the transfer broke off

A file is never changed once it has its name. Several threads and processes may use one store;
of one file, one of them transfers.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from agent.errors import UnwritableFileError
from agent.failpoint import failpoint
from agent.whole_file import sync_folder
from providers.content.errors import (
    BadChecksumError,
    NoRoomError,
    TransferInUseError,
    UnknownContentError,
    WrongContentError,
)

KEEP_FREE = 1 << 30
"""Bytes that stay free where nobody says anything: the server's state may live there too."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20
_LOOK = 16 << 20
"""Bytes after which the free space is looked at again: others write there as well."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class ContentStore:
    """The store below ``root``, which is created where it is missing, for its owner alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = root / "files"
        self._incoming = root / "incoming"
        for folder in (root, self._files, self._incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Return where a file is or would be; BadChecksumError for anything but a checksum."""
        if not _SHA256.fullmatch(sha256):
            raise BadChecksumError(sha256)
        return self._files / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the store has the file."""
        return self.path(sha256).exists()

    def size(self, sha256: str) -> int:
        """Return the file's size in bytes; UnknownContentError where there is none."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError as error:
            raise UnknownContentError(sha256) from error

    def read(self, sha256: str, most: int) -> bytes:
        """Return a small file of at most ``most`` bytes, verified again.

        UnknownContentError where there is none, WrongContentError where it is damaged.
        """
        path = self.path(sha256)
        try:
            with path.open("rb") as file:
                data = file.read(most + 1)
        except FileNotFoundError as error:
            raise UnknownContentError(sha256) from error
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise WrongContentError(str(path), sha256, found)
        return data

    def pieces(self, sha256: str) -> Iterator[bytes]:
        """Yield a file of any size piece by piece, verified again.

        UnknownContentError where there is none; WrongContentError, after the last piece, where it
        is damaged.
        """
        path, digest = self.path(sha256), hashlib.sha256()
        try:
            with path.open("rb") as file:
                for piece in iter(lambda: file.read(_PIECE), b""):
                    digest.update(piece)
                    yield piece
        except FileNotFoundError as error:
            raise UnknownContentError(sha256) from error
        if digest.hexdigest() != sha256:
            raise WrongContentError(str(path), sha256, digest.hexdigest())

    def arrived(self, sha256: str) -> int:
        """Return how many bytes of a file are here: all, some of a broken transfer, or none."""
        with suppress(FileNotFoundError):
            return self.path(sha256).stat().st_size
        with suppress(FileNotFoundError):
            return self._part(sha256).stat().st_size
        return 0

    def require_room(self, needed: int, keep_free: int) -> None:
        """Raise NoRoomError unless so many bytes fit beside what stays free."""
        free = shutil.disk_usage(self.root).free
        if free - needed < keep_free:
            raise NoRoomError(self.root, needed, free, keep_free)

    def put(self, data: bytes, keep_free: int = KEEP_FREE) -> str:
        """Store a small file; return its checksum. Raises as ``Transfer.finish``."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self.transfer(sha256, keep_free) as transfer:
            if transfer is not None:
                transfer.restart()
                transfer.append(data)
                transfer.finish("the data")
        return sha256

    @contextmanager
    def transfer(self, sha256: str, keep_free: int) -> "Iterator[Transfer | None]":
        """Begin a transfer, or go on with one that broke off; None where the file is here.

        TransferInUseError where somebody else is at it. What was appended stays when the block
        is left without ``finish``.
        """
        target = self.path(sha256)
        if target.exists():
            yield None
            return
        part = self._part(sha256)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._room_watched(keep_free):
            descriptor = os.open(part, flags, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransferInUseError(f"the transfer of {sha256}") from error
            if target.exists():  # somebody finished it meanwhile
                part.unlink(missing_ok=True)
                yield None
                return
            with self._room_watched(keep_free):
                yield Transfer(self, file, part, target, keep_free)

    def sweep(self, named: Collection[str], older_than: datetime) -> int:
        """Delete files that nothing names, and parts, that are older; return how many.

        What is younger may be named in a moment: files are transferred before what names them
        is written down.
        """
        before = older_than.timestamp()
        count = 0
        for path in self._everything():
            try:
                is_stale = path.stat().st_mtime < before
            except FileNotFoundError:
                continue
            if is_stale and path.name not in named:
                path.unlink(missing_ok=True)
                count += 1
        return count

    def _everything(self) -> Iterator[Path]:
        for folder in sorted(self._files.iterdir()):
            yield from folder.iterdir()
        yield from self._incoming.iterdir()

    def _part(self, sha256: str) -> Path:
        return self._incoming / f"{self.path(sha256).name}.part"

    @contextmanager
    def _room_watched(self, keep_free: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                free = shutil.disk_usage(self.root).free
                raise NoRoomError(self.root, 1, free, keep_free) from error
            raise UnwritableFileError(
                self.root, error.strerror or str(error), error.errno
            ) from error


class Transfer:
    """A file on its way into the store. ``size`` is how many bytes of it are there."""

    def __init__(
        self, store: ContentStore, file: BinaryIO, part: Path, target: Path, keep_free: int
    ) -> None:
        self._store = store
        self._file = file
        self._part = part
        self._target = target
        self._keep_free = keep_free
        self._digest = hashlib.sha256()
        self._unwatched = _LOOK
        self.size = 0
        for piece in iter(lambda: file.read(_PIECE), b""):
            self._digest.update(piece)
            self.size += len(piece)
        self.is_resumed = self.size > 0

    def append(self, piece: bytes) -> None:
        """Add what came next; NoRoomError where the disk would be too full."""
        self._unwatched += len(piece)
        if self._unwatched >= _LOOK:
            self._store.require_room(len(piece), self._keep_free)
            self._unwatched = 0
        view = memoryview(piece)
        while view:
            view = view[self._file.write(view) :]
        self._digest.update(piece)
        self.size += len(piece)

    def restart(self) -> None:
        """Forget what arrived."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size, self.is_resumed = 0, False

    def finish(self, place: str) -> None:
        """Let the file have its name: it is on the medium then.

        WrongContentError where its checksum does not fit: ``place`` is where it came from. What
        arrived is gone then.
        """
        found = self._digest.hexdigest()
        if found != self._target.name:
            self.restart()
            raise WrongContentError(place, self._target.name, found)
        os.fsync(self._file.fileno())
        self._target.parent.mkdir(mode=0o700, exist_ok=True)
        failpoint("content.before")
        self._part.rename(self._target)
        sync_folder(self._target.parent)
        sync_folder(self._target.parent.parent)
        failpoint("content.after")


def total_missing(store: ContentStore, files: Iterable[tuple[str, int]]) -> int:
    """Return how many bytes are missing of files, each given by checksum and size."""
    sizes = dict(files)
    return sum(
        max(0, size - store.arrived(sha256))
        for sha256, size in sizes.items()
        if not store.has(sha256)
    )
