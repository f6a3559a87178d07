"""The chunks of an image store: one zstd frame each, in a file named by its content's digest.

::

    chunks/ab/cd/<digest>           one zstd frame
    chunks/ab/cd/<digest>.corrupt   was found to be corrupt, and is not used

A chunk's modification time is when somebody was last told that it is there. Why no image loses a
chunk by that is in ``docs/decisions/0051-collecting-chunks.md``.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.imaging.chunk import unpack
from agent.imaging.errors import CorruptChunkError
from agent.whole_file import write_atomically
from providers.imaging.errors import BadDigestError, UnknownChunkError
from providers.imaging.store_place import DIGEST, FILE_MODE, StorePlace, remove

MEDIUM = frozenset((errno.EIO, errno.EBADMSG, errno.EUCLEAN))
"""Errors of a file whose medium is damaged."""
CORRUPT = ".corrupt"
"""How files of chunks end that were set aside."""
_HEX_NAME = re.compile(r"[0-9a-f]{2}")
_NO_FILE = "something else than a file has its place"


class StoredChunks(StorePlace):
    """A store's chunks. It is a ``ChunkSink`` and a ``ChunkSource``."""

    def path(self, digest: str) -> Path:
        """Return where the chunk's frame is or would be; BadDigestError for anything else."""
        if not DIGEST.fullmatch(digest):
            raise BadDigestError(digest)
        return self.chunk_folder / digest[:2] / digest[2:4] / digest

    def has(self, digest: str) -> bool:
        """Whether the store holds the chunk."""
        return self.path(digest).exists()

    def missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Return those of the digests that the store lacks.

        The others will not be collected for a while: whoever asks stores an image of them.
        """
        with self.locked():
            return frozenset(digest for digest in set(digests) if not self._touch(digest))

    def get(self, digest: str, *, checked: bool = False) -> bytes:
        """Return the chunk's frame; UnknownChunkError where there is none.

        CorruptChunkError where something else than a file has its place, and with ``checked``
        where it is another chunk.
        """
        frame = self._frame(self.path(digest), digest)
        if frame is None:
            raise UnknownChunkError(digest)
        if checked:
            unpack(frame, digest)
        return frame

    def stored_size(self, digest: str) -> int:
        """Return the size of a chunk's frame in bytes; UnknownChunkError where there is none."""
        try:
            return self.path(digest).lstat().st_size
        except (FileNotFoundError, NotADirectoryError) as error:
            self.require_there()
            raise UnknownChunkError(digest) from error

    def get_set_aside(self, digest: str) -> bytes | None:
        """Return what was set aside as corrupt, None where nothing was; raises as ``get``."""
        path = self.path(digest).with_suffix(CORRUPT)
        frame = self._frame(path, digest)
        if frame is None and path.is_symlink():
            raise CorruptChunkError(digest, _NO_FILE)
        return frame

    def put(self, digest: str, frame: bytes) -> None:
        """Store a frame whose content has this digest.

        Raises CorruptChunkError (RW402) when it has not, NoSpaceError when the
        disk would be too full. A chunk that is there already is left alone.
        """
        target = self.path(digest)
        if not self.missing([digest]):
            return
        unpack(frame, digest)
        self.ensure_space(len(frame))
        with self.space_watched(len(frame)):
            for folder in (target.parent.parent, target.parent):  # never the store itself
                folder.mkdir(exist_ok=True)
            write_atomically(target, frame, FILE_MODE, scratch=self.incoming, sync_names=False)

    def set_aside(self, digest: str) -> bool:
        """Take a corrupt chunk out of use, so that the next backup sends it again.

        Returns whether it was. One that is not corrupt, because it was sent again meanwhile,
        is left alone. Raises StoreAwayError, and OSError where nothing is known of it.
        """
        path = self.path(digest)
        with self.locked(alone=True):
            try:
                unpack(self.get(digest), digest)
            except UnknownChunkError:
                return False
            except (CorruptChunkError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in MEDIUM:
                    raise
                aside = path.with_suffix(CORRUPT)
                remove(aside)  # a directory may have the place of either
                path.rename(aside)
                os.utime(aside, follow_symlinks=False)
                return True
        return False

    def chunk_files(self) -> Iterator[tuple[Path, ...]]:
        """Yield all files of chunks, those that were set aside too, some at a time."""
        for folder in self.chunk_folder.glob("[0-9a-f][0-9a-f]"):
            found = folder.glob("[0-9a-f][0-9a-f]/*")
            yield tuple(path for path in found if DIGEST.fullmatch(path.stem))

    def folders(self, first: int = 0) -> Iterator[int]:
        """Yield the folders of chunks from ``first`` on: the first four hex digits as a number."""
        for outer in _names(self.chunk_folder, _HEX_NAME):
            if int(outer, 16) < first >> 8:
                continue
            for inner in _names(self.chunk_folder / outer, _HEX_NAME):
                number = int(outer + inner, 16)
                if number >= first:
                    yield number

    def chunks_in(self, folder: int) -> tuple[str, ...]:
        """Return the digests of the chunks in a folder, sorted."""
        name = f"{folder:04x}"
        return tuple(_names(self.chunk_folder / name[:2] / name[2:], DIGEST))

    def _frame(self, path: Path, digest: str) -> bytes | None:
        """Return what the file of a chunk holds; None where there is none, but the store is."""
        try:
            return _content(path, digest)
        except OSError as error:
            self.require_there()
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return None
            raise

    def _touch(self, digest: str) -> bool:
        """Return whether the store holds a chunk, and note that somebody was told so."""
        try:
            os.utime(self.path(digest))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True


def _names(folder: Path, form: re.Pattern[str]) -> list[str]:
    """Return the names of this form in a folder, sorted; none where a file has its place."""
    try:
        return sorted(each.name for each in folder.iterdir() if form.fullmatch(each.name))
    except NotADirectoryError:
        return []


def _content(path: Path, digest: str) -> bytes:
    """Return what the file of a chunk holds; a pipe in its place is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ELOOP):  # a socket, a link to itself
            raise
        raise CorruptChunkError(digest, _NO_FILE) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CorruptChunkError(digest, _NO_FILE)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
