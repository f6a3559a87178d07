"""Where an image store lies: its folders and locks, its space, its clock, whether it is there.

The folder may be where a file system is mounted that is away at times. What is not found is
said to be missing only while the store is there; else StoreAwayError (RW444, RW445) is raised.
"""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

from agent.errors import CodedError, UnwritableFileError
from agent.whole_file import write_atomically
from providers.imaging import store_identity
from providers.imaging.errors import (
    BadDigestError,
    NoSpaceError,
    OtherStoreError,
    StoreAwayError,
)

RESERVE = 1 << 30
"""Bytes that stay free on the store's disk: the server's state may live there too."""
DIGEST = re.compile(r"[0-9a-f]{64}")
FILE_MODE = 0o600
NOT_THERE = "its folder is empty or not there"
OTHER_STORE = "another image store lies there"
_LOCK = ".lock"
_UNWRITABLE = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))


def utc_now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)


class StorePlace:
    """The store's directory below ``root``, which is created where it is missing.

    With ``identity`` it is the store of that identity, and never created; empty until ``identity``
    is set, it is not touched before. ``reserve`` is the number of bytes that stay free on its disk.
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve: int = RESERVE,
        now: Callable[[], datetime] = utc_now,
        identity: str | None = None,
    ) -> None:
        self.root = root
        self.chunk_folder = root / "chunks"
        self.image_folder = root / "images"
        self.tag_folder = root / "tags"
        self.incoming = root / "incoming"
        self.reserve = reserve
        self.now = now
        self.identity = self.make() if identity is None else identity
        self.problem: StoreAwayError | None = None
        """Why it is known to be away, for those that would wait for it in vain."""

    def make(self) -> str:
        """Create the store where it is missing; return its identity.

        A store that has none, because it was made by an earlier version, gets one.
        """
        for folder in (self.chunk_folder, self.image_folder, self.tag_folder, self.incoming):
            folder.mkdir(parents=True, exist_ok=True)
        for lock in (self.root / _LOCK, self.tag_folder / _LOCK):
            if not lock.exists():
                lock.touch(FILE_MODE)
        if not (self.root / store_identity.FILE).exists():
            with self.locked(alone=True):  # of two that make it, one gives it its identity
                if not (self.root / store_identity.FILE).exists():
                    made = store_identity.StoreIdentity(token_hex(16), self.stamp())
                    store_identity.write_identity(self.root, made)
        return store_identity.found_at(self.root).identity

    def require_there(self) -> None:
        """Raise StoreAwayError where the store is not there, or cannot be read."""
        try:
            found = store_identity.found_at(self.root)
        except OSError as error:
            raise StoreAwayError(self.root, error.strerror or str(error)) from error
        except CodedError as error:
            raise StoreAwayError(self.root, error.cause) from error
        if not found.identity and not found.has_content:
            raise StoreAwayError(self.root, NOT_THERE)
        if found.identity != self.identity:
            raise OtherStoreError(self.root, OTHER_STORE)

    # --- what lies in it ------------------------------------------------------

    def image(self, digest: str) -> Path:
        """Return the folder of an image; BadDigestError for anything else."""
        if not DIGEST.fullmatch(digest):
            raise BadDigestError(digest)
        return self.image_folder / digest

    def listed(self, folder: Path) -> tuple[Path, ...]:
        """Return what is in one of the store's folders."""
        try:
            return tuple(folder.iterdir())
        except FileNotFoundError:
            self.require_there()
            raise

    def write_whole(self, path: Path, data: bytes) -> None:
        """Write a small file of the store whole."""
        write_atomically(path, data, FILE_MODE, scratch=self.incoming)

    def sweep(self, older_than: datetime) -> int:
        """Delete what crashes left in ``incoming``; return how many things that were."""
        stale = [
            entry
            for entry in self.incoming.iterdir()
            if entry.stat().st_mtime < older_than.timestamp()
        ]
        for entry in stale:
            remove(entry)
        return len(stale)

    # --- locks ----------------------------------------------------------------

    @contextmanager
    def locked(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the chunks as they are: ``alone`` to take some away, else together with others."""
        with self._flock(self.root / _LOCK, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            yield

    @contextmanager
    def names_locked(self) -> Iterator[None]:
        """Hold the names and pins as they are."""
        with self._flock(self.tag_folder / _LOCK, fcntl.LOCK_EX):
            yield

    @contextmanager
    def _flock(self, path: Path, how: int) -> Iterator[None]:
        """Hold a lock; where this process may write nothing, as far as that is possible."""
        descriptor = self._lock_file(path)
        if descriptor is None:
            yield
            return
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _lock_file(self, path: Path) -> int | None:
        """Open the file of a lock, made with the store; None where it is not, and cannot be.

        StoreAwayError where it is not there because the store is not.
        """
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self.require_there()
            how = os.O_RDWR | os.O_CREAT
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            how = os.O_RDONLY
        try:
            return os.open(path, how | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            return None

    # --- time and space -------------------------------------------------------

    def stamp(self) -> str:
        """Return the time now as the store's files have it: ISO 8601, UTC."""
        return self.now().astimezone(UTC).isoformat(timespec="seconds")

    def lag(self) -> timedelta:
        """Return how far the times of its files are behind the clock: a file server has its own."""
        with tempfile.NamedTemporaryFile(dir=self.incoming) as file:
            file.write(b"now")
            file.flush()
            os.fsync(file.fileno())
            written = os.fstat(file.fileno()).st_mtime
        return max(timedelta(), utc_now() - datetime.fromtimestamp(written, UTC))

    def ensure_space(self, needed: int) -> None:
        """Raise NoSpaceError unless ``needed`` bytes fit beside the reserve."""
        free = shutil.disk_usage(self.chunk_folder).free
        if free - needed < self.reserve:
            raise NoSpaceError(self.root, needed, free, self.reserve)

    @contextmanager
    def space_watched(self, needed: int) -> Iterator[None]:
        """Raise NoSpaceError where the disk is full before ``needed`` bytes are written."""
        try:
            yield
        except (OSError, UnwritableFileError) as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                free = shutil.disk_usage(self.chunk_folder).free
                raise NoSpaceError(self.root, needed, free, self.reserve) from error
            raise


def remove(path: Path) -> None:
    """Take away what is at a place of the store, if anything, be it a file or a directory."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
