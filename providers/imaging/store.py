"""The chunk store: chunks, images and their names in one directory.

::

    chunks/ab/cd/<digest>        one zstd frame each
    images/<digest>/             manifest.json, record.json, proof.json
    tags/<name>                  where a name points, and where it pointed before
    incoming/                    what is being written; leftovers are nobody's

Nothing is ever changed in place: a backup that fails, at any point, leaves every
older image as it was. Several threads and processes may use one store.
"""

import ctypes
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from agent.errors import UnwritableFileError
from agent.failpoint import failpoint
from agent.imaging import manifest as manifest_format
from agent.imaging.chunk import unpack
from agent.imaging.manifest import Manifest
from agent.whole_file import sync_folder, write_atomically
from providers.imaging.errors import (
    BadDigestError,
    BadNameError,
    IncompleteImageError,
    NoSpaceError,
    UnknownChunkError,
    UnknownImageError,
)
from providers.imaging.image_record import (
    ImageEntry,
    ImageRecord,
    RestoreTest,
    Tag,
    TagEntry,
    decode,
    encode,
)

RESERVE = 1 << 30
"""Bytes that stay free on the store's disk: the server's state may live there too."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_MAX_NAME = 120
_FILE_MODE = 0o600
_MANIFEST, _RECORD, _RESTORE_TEST = "manifest.json", "record.json", "proof.json"

_libc = ctypes.CDLL(None, use_errno=True)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ChunkStore:
    """The store below ``root``, which is created where it is missing.

    It is a ``ChunkSink`` and a ``ChunkSource``. ``reserve`` is the number of bytes
    that stay free on its disk.
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve: int = RESERVE,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._root = root
        self._chunks = root / "chunks"
        self._images = root / "images"
        self._tags = root / "tags"
        self._incoming = root / "incoming"
        self._reserve = reserve
        self._now = now
        for folder in (self._chunks, self._images, self._tags, self._incoming):
            folder.mkdir(parents=True, exist_ok=True)

    # --- chunks ---------------------------------------------------------------

    def path(self, digest: str) -> Path:
        """Return where the chunk's frame is or would be; BadDigestError for anything else."""
        if not _DIGEST.fullmatch(digest):
            raise BadDigestError(digest)
        return self._chunks / digest[:2] / digest[2:4] / digest

    def has(self, digest: str) -> bool:
        """Whether the store holds the chunk."""
        return self.path(digest).exists()

    def missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Return those of the digests that the store lacks."""
        return frozenset(digest for digest in set(digests) if not self.has(digest))

    def get(self, digest: str) -> bytes:
        """Return the chunk's frame; UnknownChunkError where there is none."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise UnknownChunkError(digest) from error

    def put(self, digest: str, frame: bytes) -> None:
        """Store a frame whose content has this digest.

        Raises CorruptChunkError (RW402) when it has not, NoSpaceError when the
        disk would be too full. A chunk that is there already is left alone.
        """
        target = self.path(digest)
        if target.exists():
            return
        unpack(frame, digest)
        self.ensure_space(len(frame))
        with self._space_watched(len(frame)):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, frame, _FILE_MODE, scratch=self._incoming, sync_names=False)

    def set_aside(self, digest: str) -> None:
        """Take a corrupt chunk out of use, so that the next backup sends it again."""
        path = self.path(digest)
        if path.exists():
            path.rename(path.with_suffix(".corrupt"))

    def ensure_space(self, needed: int) -> None:
        """Raise NoSpaceError unless ``needed`` bytes fit beside the reserve."""
        free = shutil.disk_usage(self._chunks).free
        if free - needed < self._reserve:
            raise NoSpaceError(self._root, needed, free, self._reserve)

    def sweep(self, older_than: datetime) -> int:
        """Delete what crashes left in ``incoming``; return how many things that were."""
        stale = [
            entry
            for entry in self._incoming.iterdir()
            if entry.stat().st_mtime < older_than.timestamp()
        ]
        for entry in stale:
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        return len(stale)

    # --- images ---------------------------------------------------------------

    def put_manifest(self, data: bytes) -> str:
        """Store an image whose chunks are all here; return its digest.

        Raises ManifestError (RW401) for anything but a manifest, IncompleteImageError
        when a chunk is missing, NoSpaceError. It is durable, with all its chunks,
        when this returns; doing it twice changes nothing.
        """
        image = manifest_format.decode(data)
        digest = manifest_format.digest(data)
        folder = self._images / digest
        stored = self._stored(image, digest)
        if folder.exists():
            return digest
        self.ensure_space(len(data))
        _sync_file_system(self._chunks)
        record = ImageRecord(
            created=self._stamp(),
            disk_size=image.disk_size,
            sector_size=image.sector_size,
            used_bytes=image.used_bytes,
            stored_bytes=stored,
            system=image.system,
        )
        with self._space_watched(len(data)):
            draft = Path(tempfile.mkdtemp(dir=self._incoming))
            draft.chmod(0o755)
            write_atomically(draft / _MANIFEST, data, _FILE_MODE, sync_names=False)
            write_atomically(draft / _RECORD, encode(record), _FILE_MODE, sync_names=False)
            sync_folder(draft)
            try:
                failpoint("image.before")
                draft.rename(folder)
            except OSError:
                shutil.rmtree(draft)
                if not folder.exists():  # else another thread stored the same image
                    raise
        sync_folder(self._images)
        failpoint("image.after")
        return digest

    def manifest_path(self, digest: str) -> Path:
        """Return where the image's manifest is or would be."""
        return self._image(digest) / _MANIFEST

    def get_manifest(self, digest: str) -> bytes:
        """Return the encoded manifest; UnknownImageError where there is none."""
        try:
            return self.manifest_path(digest).read_bytes()
        except FileNotFoundError as error:
            raise UnknownImageError(digest) from error

    def record(self, digest: str) -> ImageRecord:
        """Return the image's facts; UnknownImageError where there is no such image."""
        try:
            return decode(ImageRecord, (self._image(digest) / _RECORD).read_bytes())
        except FileNotFoundError as error:
            raise UnknownImageError(digest) from error

    def record_restore_test(self, digest: str, outcome: RestoreTest) -> None:
        """Keep the outcome of a restore test; the newest one counts."""
        folder = self._image(digest)
        if not folder.exists():
            raise UnknownImageError(digest)
        write_atomically(
            folder / _RESTORE_TEST, encode(outcome), _FILE_MODE, scratch=self._incoming
        )

    def restore_test(self, digest: str) -> RestoreTest | None:
        """Return the image's newest restore test, None where there was none."""
        try:
            return decode(RestoreTest, (self._image(digest) / _RESTORE_TEST).read_bytes())
        except FileNotFoundError:
            return None

    def usable(self, digest: str) -> bool:
        """Whether the image exists and its newest restore test passed."""
        outcome = self.restore_test(digest)
        return outcome is not None and outcome.ok and self.manifest_path(digest).exists()

    # --- names ----------------------------------------------------------------

    def tag(self, name: str, digest: str) -> None:
        """Let ``name`` point to an image from now on; what it pointed to before is kept.

        Raises BadNameError, and UnknownImageError where there is no such image.
        """
        path = self._tag_path(name)
        if not self.manifest_path(digest).exists():
            raise UnknownImageError(digest)
        with self._tags_locked():
            history = self._read_tag(path).history if path.exists() else ()
            if history and history[-1].digest == digest:
                return
            moved = Tag(name, (*history, TagEntry(digest, self._stamp())))
            write_atomically(path, encode(moved), _FILE_MODE, scratch=self._incoming)

    def resolve(self, name: str) -> str:
        """Return the digest that a name points to; UnknownImageError where none does."""
        return self.history(name)[-1].digest

    def history(self, name: str) -> tuple[TagEntry, ...]:
        """Return everything a name has pointed to, the current image last."""
        try:
            return self._read_tag(self._tag_path(name)).history
        except FileNotFoundError as error:
            raise UnknownImageError(name) from error

    def images(self) -> tuple[ImageEntry, ...]:
        """Return all names with what they point to now, sorted by name."""
        tags = (self._read_tag(path) for path in self._tags.iterdir() if path.name[0] != ".")
        return tuple(sorted((self._entry(tag) for tag in tags), key=lambda entry: entry.name))

    # --- inside ---------------------------------------------------------------

    def _image(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise BadDigestError(digest)
        return self._images / digest

    def _stored(self, image: Manifest, digest: str) -> int:
        """Return the size of an image's different chunks, all of which must be here."""
        wanted = sorted({chunk.digest for chunk in image.chunks()})
        missing = []
        size = 0
        for name in wanted:
            try:
                size += self.path(name).stat().st_size
            except FileNotFoundError:
                missing.append(name)
        if missing:
            raise IncompleteImageError(digest, len(missing), len(wanted), missing[0])
        return size

    def _entry(self, tag: Tag) -> ImageEntry:
        record, outcome = self.record(tag.digest), self.restore_test(tag.digest)
        return ImageEntry(
            name=tag.name,
            digest=tag.digest,
            created=record.created,
            used_bytes=record.used_bytes,
            stored_bytes=record.stored_bytes,
            disk_size=record.disk_size,
            sector_size=record.sector_size,
            restore_test="unproven" if outcome is None else ("proven" if outcome.ok else "failed"),
            problem=_problem(outcome),
            system=record.system,
        )

    def _tag_path(self, name: str) -> Path:
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            raise BadNameError(name)
        return self._tags / quote(name, safe="")

    def _read_tag(self, path: Path) -> Tag:
        return decode(Tag, path.read_bytes())

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="seconds")

    @contextmanager
    def _space_watched(self, needed: int) -> Iterator[None]:
        try:
            yield
        except (OSError, UnwritableFileError) as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                free = shutil.disk_usage(self._chunks).free
                raise NoSpaceError(self._root, needed, free, self._reserve) from error
            raise

    @contextmanager
    def _tags_locked(self) -> Iterator[None]:
        descriptor = os.open(self._tags / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _problem(outcome: RestoreTest | None) -> str:
    if outcome is None:
        return "no restore test was made of it yet"
    return "" if outcome.ok else "; ".join(outcome.details)


def _sync_file_system(folder: Path) -> None:
    """Return once everything on this folder's file system is on the medium (syncfs(2)).

    For the names in very many folders: syncing each of the thousands that an
    image's chunks lie in takes minutes on a busy disk.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)
