"""The chunk store: chunks, images and their names in one directory.

::

    chunks/ab/cd/<digest>        one zstd frame each
    chunks/ab/cd/<digest>.corrupt  was found to be corrupt, and is not used
    images/<digest>/             manifest.json, record.json, proof.json, signature.json, pin.json,
                                 sets.json
    tags/<name>                  where a name points, and where it pointed before
    tags/.moving                 names that were moved together: said before each file says so
    incoming/                    what is being written; leftovers are nobody's
    store.json                   which store this is

The directory may be where a file system is mounted that is away at times. What is not found is
said to be missing only while the store is there; else StoreAwayError (RW444, RW445) is raised.

Nothing is ever changed in place: a backup that fails, at any point, leaves every
older image as it was. Several threads and processes may use one store.

Two locks, for all processes. ``.lock`` is held by one alone that takes chunks away, and
shared by whoever says that a chunk is there or stores an image of such. ``tags/.lock`` is
held to change names and pins, and to take away an image that has none. A chunk's
modification time is when somebody was last told that it is there. Why no image loses a
chunk by that is in ``docs/decisions/0051-collecting-chunks.md``.
"""

import ctypes
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote, unquote

from agent.errors import CodedError, UnwritableFileError
from agent.failpoint import failpoint
from agent.imaging import manifest as manifest_format
from agent.imaging.chunk import unpack
from agent.imaging.errors import CorruptChunkError
from agent.imaging.growable import Growable
from agent.imaging.image_growable import growable
from agent.imaging.manifest import Manifest
from agent.whole_file import sync_folder, write_atomically
from providers.imaging import store_identity
from providers.imaging.errors import (
    BadDigestError,
    BadNameError,
    DamagedRecordError,
    IncompleteImageError,
    NoSpaceError,
    OtherStoreError,
    PinnedImageError,
    StoreAwayError,
    UnknownChunkError,
    UnknownImageError,
)
from providers.imaging.image_folder import (
    MANIFEST,
    PIN,
    RECORD,
    RESTORE_TEST,
    SIGNATURE,
    ImageFacts,
    image_facts,
    read_manifest,
    read_record,
    read_restore_test,
    read_signature,
    record_again,
    record_of,
)
from providers.imaging.image_record import (
    ImageEntry,
    ImageRecord,
    ImageSet,
    ImageSets,
    Pin,
    RestoreTest,
    RestoreTestState,
    Tag,
    TagEntry,
    TagMove,
    encode,
    read,
)
from providers.imaging.image_signature import ImageSignature

RESERVE = 1 << 30
"""Bytes that stay free on the store's disk: the server's state may live there too."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEX_NAME = re.compile(r"[0-9a-f]{2}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_MAX_NAME = 120
_FILE_MODE = 0o600
_LOCK = ".lock"
NOT_THERE = "its folder is empty or not there"
OTHER_STORE = "another image store lies there"
_NO_FILE = "something else than a file has its place"
_UNWRITABLE = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))
_SETS = "sets.json"
MEDIUM = frozenset((errno.EIO, errno.EBADMSG, errno.EUCLEAN))
"""Errors of a file whose medium is damaged."""
CORRUPT = ".corrupt"
"""How files of chunks end that were set aside."""

_libc = ctypes.CDLL(None, use_errno=True)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ChunkStore:
    """The store below ``root``, which is created where it is missing.

    With ``identity`` it is the store of that identity, and never created; empty until ``identity``
    is set, it is not touched before. It is a ``ChunkSink`` and a ``ChunkSource``. ``reserve`` is
    the number of bytes that stay free on its disk.
    """

    def __init__(
        self,
        root: Path,
        *,
        reserve: int = RESERVE,
        now: Callable[[], datetime] = _utc_now,
        identity: str | None = None,
    ) -> None:
        self._root = root
        self._chunks = root / "chunks"
        self._images = root / "images"
        self._tags = root / "tags"
        self._incoming = root / "incoming"
        self._moving = self._tags / ".moving"
        self._reserve = reserve
        self._now = now
        self.identity = self.make() if identity is None else identity
        self.problem: StoreAwayError | None = None
        """Why it is known to be away, for those that would wait for it in vain."""

    @property
    def root(self) -> Path:
        """The directory."""
        return self._root

    def make(self) -> str:
        """Create the store where it is missing; return its identity.

        A store that has none, because it was made by an earlier version, gets one.
        """
        for folder in (self._chunks, self._images, self._tags, self._incoming):
            folder.mkdir(parents=True, exist_ok=True)
        for lock in (self._root / _LOCK, self._tags / _LOCK):
            if not lock.exists():
                lock.touch(_FILE_MODE)
        if not (self._root / store_identity.FILE).exists():
            with self.locked(alone=True):  # of two that make it, one gives it its identity
                if not (self._root / store_identity.FILE).exists():
                    made = store_identity.StoreIdentity(token_hex(16), self.stamp())
                    store_identity.write_identity(self._root, made)
        return store_identity.found_at(self._root).identity

    def require_there(self) -> None:
        """Raise StoreAwayError where the store is not there, or cannot be read."""
        try:
            found = store_identity.found_at(self._root)
        except OSError as error:
            raise StoreAwayError(self._root, error.strerror or str(error)) from error
        except CodedError as error:
            raise StoreAwayError(self._root, error.cause) from error
        if not found.identity and not found.has_content:
            raise StoreAwayError(self._root, NOT_THERE)
        if found.identity != self.identity:
            raise OtherStoreError(self._root, OTHER_STORE)

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
        """Return those of the digests that the store lacks.

        The others will not be collected for a while: whoever asks stores an image of them.
        """
        with self.locked():
            return frozenset(digest for digest in set(digests) if not self._touch(digest))

    def get(self, digest: str) -> bytes:
        """Return the chunk's frame; UnknownChunkError where there is none.

        CorruptChunkError where something else than a file has its place.
        """
        frame = self._frame(self.path(digest), digest)
        if frame is None:
            raise UnknownChunkError(digest)
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
        with self._space_watched(len(frame)):
            for folder in (target.parent.parent, target.parent):  # never the store itself
                folder.mkdir(exist_ok=True)
            write_atomically(target, frame, _FILE_MODE, scratch=self._incoming, sync_names=False)

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
        for folder in self._chunks.glob("[0-9a-f][0-9a-f]"):
            found = folder.glob("[0-9a-f][0-9a-f]/*")
            yield tuple(path for path in found if _DIGEST.fullmatch(path.stem))

    def folders(self, first: int = 0) -> Iterator[int]:
        """Yield the folders of chunks from ``first`` on: the first four hex digits as a number."""
        for outer in _names(self._chunks, _HEX_NAME):
            if int(outer, 16) < first >> 8:
                continue
            for inner in _names(self._chunks / outer, _HEX_NAME):
                number = int(outer + inner, 16)
                if number >= first:
                    yield number

    def chunks_in(self, folder: int) -> tuple[str, ...]:
        """Return the digests of the chunks in a folder, sorted."""
        name = f"{folder:04x}"
        return tuple(_names(self._chunks / name[:2] / name[2:], _DIGEST))

    @contextmanager
    def locked(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the chunks as they are: ``alone`` to take some away, else together with others."""
        with self._flock(self._root / _LOCK, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            yield

    def lag(self) -> timedelta:
        """Return how far the times of its files are behind the clock: a file server has its own."""
        with tempfile.NamedTemporaryFile(dir=self._incoming) as file:
            file.write(b"now")
            file.flush()
            os.fsync(file.fileno())
            written = os.fstat(file.fileno()).st_mtime
        return max(timedelta(), _utc_now() - datetime.fromtimestamp(written, UTC))

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
            remove(entry)
        return len(stale)

    # --- images ---------------------------------------------------------------

    def put_manifest(self, data: bytes) -> str:
        """Store an image whose chunks are all here; return its digest.

        Raises ManifestError (RW401) for anything but a manifest, IncompleteImageError
        when a chunk is missing, NoSpaceError. It is durable, with all its chunks,
        when this returns; doing it twice changes nothing but damaged files of the image.
        """
        image = manifest_format.decode(data)
        digest = manifest_format.digest(data)
        folder = self._images / digest
        with self.locked():
            stored = self._stored(image, digest)
            if self._mended(digest, data):
                return digest
            self.ensure_space(len(data))
            _sync_file_system(self._chunks)
            record = record_of(image, self.stamp(), stored, self._growable(image))
            with self._space_watched(len(data)):
                draft = Path(tempfile.mkdtemp(dir=self._incoming))
                draft.chmod(0o755)
                write_atomically(draft / MANIFEST, data, _FILE_MODE, sync_names=False)
                write_atomically(draft / RECORD, encode(record), _FILE_MODE, sync_names=False)
                sync_folder(draft)
                try:
                    failpoint("image.before")
                    _give_place(draft, folder)
                except OSError:
                    shutil.rmtree(draft)
                    raise
            sync_folder(self._images)
            failpoint("image.after")
            return digest

    def _growable(self, image: Manifest) -> Growable | None:
        """Return what of an image can grow; None where a chunk that says so is damaged."""
        try:
            return growable(image, self)
        except CodedError:
            return None

    def manifest_path(self, digest: str) -> Path:
        """Return where the image's manifest is or would be."""
        return self._image(digest) / MANIFEST

    def get_manifest(self, digest: str) -> bytes:
        """Return the encoded manifest; UnknownImageError where there is none."""
        return read_manifest(self._image(digest), digest, self.require_there)

    def require_chunks(self, digest: str) -> None:
        """Raise IncompleteImageError where a chunk of the image is gone; UnknownImageError."""
        self._stored(manifest_format.decode(self.get_manifest(digest)), digest)

    def record(self, digest: str) -> ImageRecord:
        """Return the image's facts.

        UnknownImageError where there is no such image, DamagedRecordError where it has none.
        """
        return read_record(self._image(digest), digest, self.require_there)

    def facts(self, digest: str) -> ImageFacts:
        """Return what is known of an image, also where a file of it is gone or damaged."""
        return image_facts(self._image(digest), digest, self._present, self.require_there)

    def renew_record(self, digest: str) -> None:
        """Write the image's record again where it is gone or damaged: the manifest has all of it.

        UnknownImageError, ManifestError where that cannot be read.
        """
        folder = self._image(digest)
        try:
            read_record(folder, digest, self.require_there)
        except DamagedRecordError as error:
            again = record_again(folder, digest, self._present, self.require_there)
            remove(error.path)
            write_atomically(error.path, encode(again), _FILE_MODE, scratch=self._incoming)

    def record_restore_test(self, digest: str, outcome: RestoreTest) -> None:
        """Keep the outcome of a restore test; the newest one counts."""
        folder = self._image(digest)
        if not folder.exists():
            self.require_there()
            raise UnknownImageError(digest)
        path = folder / RESTORE_TEST
        if path.is_dir():
            remove(path)
        write_atomically(path, encode(outcome), _FILE_MODE, scratch=self._incoming)

    def restore_test(self, digest: str) -> RestoreTest | None:
        """Return the image's newest restore test, None where there was none."""
        return read_restore_test(self._image(digest), self.require_there)

    def record_signature(self, digest: str, signature: ImageSignature) -> None:
        """Keep the image's signature, in place of an earlier one; UnknownImageError."""
        folder = self._image(digest)
        if not folder.exists():
            self.require_there()
            raise UnknownImageError(digest)
        path = folder / SIGNATURE
        if path.is_dir():
            remove(path)
        write_atomically(path, encode(signature), _FILE_MODE, scratch=self._incoming)

    def signature_of(self, digest: str) -> ImageSignature | None:
        """Return the image's signature, None where there is none; an empty one if damaged."""
        return read_signature(self._image(digest), self.require_there)

    def usable(self, digest: str) -> bool:
        """Whether the image has all its files and its newest restore test passed."""
        facts = self.facts(digest)
        return not facts.damage and facts.restore_test is not None and facts.restore_test.ok

    def image_digests(self) -> frozenset[str]:
        """Return the digests of all images, with a name or without."""
        return frozenset(
            path.name for path in self._in(self._images) if _DIGEST.fullmatch(path.name)
        )

    def lost(self) -> frozenset[str]:
        """Return the images that a name leads to and that are gone from the store."""
        gone = self._named() - self.image_digests()
        return gone & self._named() if gone else gone  # else another process removed them

    def expected(self) -> frozenset[str]:
        """Return the digests of all images that are there or ought to be."""
        return self.image_digests() | self.lost()

    # --- pins -----------------------------------------------------------------

    def pin(self, digest: str, pin: Pin) -> None:
        """Keep an image, whatever becomes of its names; UnknownImageError where there is none."""
        with self._tags_locked():
            if not self.manifest_path(digest).exists():
                self.require_there()
                raise UnknownImageError(digest)
            write_atomically(
                self._image(digest) / PIN, encode(pin), _FILE_MODE, scratch=self._incoming
            )

    def unpin(self, digest: str) -> bool:
        """End a pin; return whether there was one."""
        with self._tags_locked():
            path = self._image(digest) / PIN
            if not path.exists():
                return False
            path.unlink()
            sync_folder(path.parent)
            return True

    def pin_of(self, digest: str) -> Pin | None:
        """Return why an image is pinned, None where it is not."""
        try:
            return read(Pin, self._image(digest) / PIN)
        except FileNotFoundError:
            return None

    # --- names ----------------------------------------------------------------

    def tag(self, name: str, digest: str) -> None:
        """Let ``name`` point to an image from now on; what it pointed to before is kept.

        Raises BadNameError, and UnknownImageError where there is no such image.
        """
        path = self._tag_path(name)
        with self._tags_locked():
            if not self.manifest_path(digest).exists():
                self.require_there()
                raise UnknownImageError(digest)
            tag = read(Tag, path) if path.exists() else Tag(name, ())
            moved = tag.moved_to(digest, self.stamp())
            if moved is not tag:
                write_atomically(path, encode(moved), _FILE_MODE, scratch=self._incoming)

    def tag_together(self, captured: ImageSet) -> None:
        """Let the names of a set's members point to them from now on: all of them or none.

        It is done once ``tags/.moving`` says so, whatever happens then: readers go by it, and
        whoever changes names next finishes what a crash left. Doing it twice changes nothing.
        Raises BadNameError, and UnknownImageError where there is no such image.
        """
        for member in captured.members:
            self.require_name(member.name)
        with self._tags_locked():
            for member in captured.members:
                if not self.manifest_path(member.digest).exists():
                    raise UnknownImageError(member.digest)
            write_atomically(self._moving, encode(captured), _FILE_MODE, scratch=self._incoming)
            self._finish_moving()

    def sets_of(self, digest: str) -> tuple[ImageSet, ...]:
        """Return the sets that an image belongs to, the newest first."""
        try:
            return read(ImageSets, self._image(digest) / _SETS).sets[::-1]
        except FileNotFoundError:
            self.require_there()
            return ()

    def require_name(self, name: str) -> None:
        """Raise BadNameError for what cannot be the name of an image."""
        self._tag_path(name)

    def resolve(self, name: str) -> str:
        """Return the digest that a name points to; UnknownImageError where none does."""
        return self.history(name)[-1].digest

    def history(self, name: str) -> tuple[TagEntry, ...]:
        """Return everything a name has pointed to, the current image last."""
        return self.tag_of(name).history

    def tag_of(self, name: str) -> Tag:
        """Return a name with everything it has pointed to; UnknownImageError as ``resolve``."""
        tag = self._read_tag(self._tag_path(name), name, self._being_moved())
        if tag is None:
            self.require_there()
            raise UnknownImageError(name)
        return tag

    def forget(self, name: str, digests: Collection[str]) -> None:
        """Take images out of a name's generations; a name without any is gone.

        Raises PinnedImageError where one of them is pinned; nothing is changed then. The
        images themselves stay until they are collected.
        """
        path = self._tag_path(name)
        with self._tags_locked():
            for digest in digests:
                pin = self.pin_of(digest)
                if pin is not None:
                    raise PinnedImageError(digest, pin.by, pin.at, pin.reason)
            left = tuple(each for each in self.history(name) if each.digest not in digests)
            if left:
                write_atomically(path, encode(Tag(name, left)), _FILE_MODE, scratch=self._incoming)
            else:
                path.unlink()
                sync_folder(self._tags)

    def tags(self) -> tuple[Tag, ...]:
        """Return all names with everything they pointed to, sorted by name."""
        moving = self._being_moved()
        names = {unquote(path.name) for path in self._in(self._tags) if path.name[0] != "."}
        names.update(each.name for each in moving)
        found = [self._read_tag(self._tag_path(name), name, moving) for name in sorted(names)]
        if None in found:  # a name was removed meanwhile
            self.require_there()
        return tuple(tag for tag in found if tag is not None)

    def images(self) -> tuple[ImageEntry, ...]:
        """Return all names with what they point to now, sorted by name."""
        newest = (entry for tag in self.tags() for entry in islice(self._entries(tag), 1))
        return tuple(entry for entry in newest if not entry.generation)

    def generations(self, name: str) -> tuple[ImageEntry, ...]:
        """Return all generations of a name, the newest first; UnknownImageError as ``history``."""
        return tuple(self._entries(self.tag_of(name)))

    def unnamed(self) -> frozenset[str]:
        """Return the images that have neither a name nor a pin."""
        without = self.image_digests() - self._named()
        return frozenset(digest for digest in without if not self._is_pinned(digest))

    def remove_unnamed(self, digests: Collection[str]) -> frozenset[str]:
        """Take images away that have neither a name nor a pin; return which.

        Their chunks stay until they are collected.
        """
        gone = Path(tempfile.mkdtemp(dir=self._incoming))
        with self._tags_locked(finish=False):  # it makes room, and finishing needs some
            removed = self.unnamed() & frozenset(digests)
            for digest in removed:
                self._image(digest).rename(gone / digest)
            sync_folder(self._images)
        shutil.rmtree(gone)
        return removed

    # --- inside ---------------------------------------------------------------

    def _in(self, folder: Path) -> tuple[Path, ...]:
        try:
            return tuple(folder.iterdir())
        except FileNotFoundError:
            self.require_there()
            raise

    def _frame(self, path: Path, digest: str) -> bytes | None:
        """Return what the file of a chunk holds; None where there is none, but the store is."""
        try:
            return _content(path, digest)
        except OSError as error:
            self.require_there()
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return None
            raise

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
            except (FileNotFoundError, NotADirectoryError):
                missing.append(name)
        if missing:
            self.require_there()
            raise IncompleteImageError(digest, missing, len(wanted))
        return size

    def _present(self, image: Manifest) -> int:
        """Return the size of those of an image's different chunks that are here."""
        size = 0
        for name in {chunk.digest for chunk in image.chunks()}:
            with suppress(FileNotFoundError, NotADirectoryError):
                size += self.path(name).stat().st_size
        return size

    def _mended(self, digest: str, data: bytes) -> bool:
        """Bring back those small files of an image that its manifest has all of; False: it is new.

        Who takes images away holds the lock of names, too.
        """
        if not self._image(digest).exists():
            return False
        with self._tags_locked(finish=False):
            if not self._image(digest).exists():
                return False
            self._mend(digest, data)
            return True

    def _mend(self, digest: str, data: bytes) -> None:
        if not self.manifest_path(digest).is_file() or self.get_manifest(digest) != data:
            remove(self.manifest_path(digest))
            write_atomically(self.manifest_path(digest), data, _FILE_MODE, scratch=self._incoming)
        self.renew_record(digest)

    def _named(self) -> frozenset[str]:
        return frozenset(entry.digest for tag in self.tags() for entry in tag.history)

    def _is_pinned(self, digest: str) -> bool:
        """Return whether an image is pinned; a pin that cannot be read keeps it all the same."""
        return (self._image(digest) / PIN).exists()

    def _is_named(self, name: str, digest: str) -> bool:
        with suppress(UnknownImageError):
            return any(each.digest == digest for each in self.history(name))
        return False

    def _entries(self, tag: Tag) -> Iterator[ImageEntry]:
        """Yield the generations of a name, the newest first, those that are damaged too."""
        generations = tag.generations
        for number, named in enumerate(generations):
            facts = self.facts(named.digest)
            record = facts.record or ImageRecord(named.at, 0, 0, 0, 0)
            if facts.record is None and not self._is_named(tag.name, named.digest):
                continue  # it was removed meanwhile
            state, problem = _state(facts)
            yield ImageEntry(
                name=tag.name,
                digest=named.digest,
                created=record.created,
                used_bytes=record.used_bytes,
                stored_bytes=record.stored_bytes,
                disk_size=record.disk_size,
                sector_size=record.sector_size,
                restore_test=state,
                problem=problem,
                generation=number,
                generations=len(generations),
                pinned=self._is_pinned(named.digest),
                named_at=named.at,
                system=record.system,
                unreadable_bytes=record.unreadable_bytes,
                layout=record.layout,
                growable=record.current_growable,
                damaged=bool(facts.damage),
                sets=self.sets_of(named.digest),
                signature=self.signature_of(named.digest),
            )

    def _tag_path(self, name: str) -> Path:
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            raise BadNameError(name)
        return self._tags / quote(name, safe="")

    def _read_tag(self, path: Path, name: str, moving: Collection[TagMove]) -> Tag | None:
        """Return a name as it is with what is being moved; None where there is no such name."""
        try:
            tag = read(Tag, path)
        except FileNotFoundError:
            tag = Tag(name, ())
        for each in moving:
            if each.name == name:
                tag = tag.moved_to(each.digest, each.at)
        return tag if tag.history else None

    def _being_moved(self) -> tuple[TagMove, ...]:
        try:
            captured = read(ImageSet, self._moving)
        except FileNotFoundError:
            return ()
        return captured.moves

    def _finish_moving(self) -> None:
        """Write what ``tags/.moving`` says; the lock of names is held."""
        if not self._moving.exists():
            return
        captured = read(ImageSet, self._moving)
        for member in captured.members:
            known = [each for each in self.sets_of(member.digest)[::-1] if self._all_there(each)]
            known = [each for each in known if each.run != captured.run]
            write_atomically(
                self._image(member.digest) / _SETS,
                encode(ImageSets((*known, captured))),
                _FILE_MODE,
                scratch=self._incoming,
            )
        for each in self._being_moved():
            path = self._tag_path(each.name)
            moved = self._read_tag(path, each.name, [each])
            assert moved is not None  # noqa: S101 - it has what it is moved to
            write_atomically(path, encode(moved), _FILE_MODE, scratch=self._incoming)
        self._moving.unlink()
        sync_folder(self._tags)

    def _all_there(self, captured: ImageSet) -> bool:
        return all(self._image(each.digest).exists() for each in captured.members)

    def stamp(self) -> str:
        """Return the time now as the store's files have it: ISO 8601, UTC."""
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

    def _touch(self, digest: str) -> bool:
        """Return whether the store holds a chunk, and note that somebody was told so."""
        try:
            os.utime(self.path(digest))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    @contextmanager
    def _tags_locked(self, *, finish: bool = True) -> Iterator[None]:
        """Hold the names as they are; what a crash left of moving some is done first."""
        with self._flock(self._tags / _LOCK, fcntl.LOCK_EX):
            if finish:
                self._finish_moving()
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
            return os.open(path, how | os.O_CLOEXEC, _FILE_MODE)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            return None


def _names(folder: Path, form: re.Pattern[str]) -> list[str]:
    """Return the names of this form in a folder, sorted; none where a file has its place."""
    try:
        return sorted(each.name for each in folder.iterdir() if form.fullmatch(each.name))
    except NotADirectoryError:
        return []


def _state(facts: ImageFacts) -> tuple[RestoreTestState, str]:
    """Return what the restore test says of an image, and why it cannot be restored."""
    outcome = facts.restore_test
    if facts.damage:
        return "failed", f"damaged: {facts.damage}"
    if outcome is None:
        return "unproven", "no restore test was made of it yet"
    return ("proven", "") if outcome.ok else ("failed", "; ".join(outcome.details))


def _give_place(draft: Path, folder: Path) -> None:
    """Give a new image its place, unless another process stored the same one meanwhile."""
    while True:
        try:
            draft.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if folder.exists():
                shutil.rmtree(draft)
                return
            # The other one was taken away in this moment.
        else:
            return


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


def remove(path: Path) -> None:
    """Take away what is at a place of the store, if anything, be it a file or a directory."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
