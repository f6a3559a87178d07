"""The image store: chunks, images and their names in one directory.

::

    chunks/ab/cd/<digest>        one zstd frame each: ``stored_chunks``
    images/<digest>/             manifest.json, record.json, proof.json, signature.json, pin.json,
                                 sets.json
    tags/<name>                  where a name points, and where it pointed before: ``image_names``
    incoming/                    what is being written; leftovers are nobody's
    store.json                   which store this is

Nothing is ever changed in place: a backup that fails, at any point, leaves every
older image as it was. Several threads and processes may use one store.

Two locks, for all processes (``store_place``). ``.lock`` is held by one alone that takes chunks
away, and shared by whoever says that a chunk is there or stores an image of such. ``tags/.lock``
is held to change names and pins, and to take away an image that has none.
"""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from agent.errors import CodedError
from agent.failpoint import failpoint
from agent.imaging import manifest as manifest_format
from agent.imaging.growable import Growable
from agent.imaging.image_growable import growable
from agent.imaging.manifest import Manifest
from agent.whole_file import sync_folder, write_atomically
from providers.imaging.errors import (
    DamagedRecordError,
    IncompleteImageError,
    UnknownImageError,
)
from providers.imaging.image_folder import (
    MANIFEST,
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
from providers.imaging.image_names import ImageNames
from providers.imaging.image_record import (
    ImageEntry,
    ImageRecord,
    RestoreTest,
    RestoreTestState,
    Tag,
    encode,
)
from providers.imaging.image_signature import ImageSignature
from providers.imaging.store_place import DIGEST, FILE_MODE, remove
from providers.imaging.stored_chunks import StoredChunks

_libc = ctypes.CDLL(None, use_errno=True)


class ChunkStore(StoredChunks):
    """A store's chunks and images, and by ``names`` what leads to them."""

    @property
    def names(self) -> ImageNames:
        """What leads to its images."""
        return ImageNames(self)

    def put_manifest(self, data: bytes) -> str:
        """Store an image whose chunks are all here; return its digest.

        Raises ManifestError (RW401) for anything but a manifest, IncompleteImageError
        when a chunk is missing, NoSpaceError. It is durable, with all its chunks,
        when this returns; doing it twice changes nothing but damaged files of the image.
        """
        image = manifest_format.decode(data)
        digest = manifest_format.digest(data)
        folder = self.image_folder / digest
        with self.locked():
            stored = self._stored(image, digest)
            if self._mended(digest, data):
                return digest
            self.ensure_space(len(data))
            _sync_file_system(self.chunk_folder)
            record = record_of(image, self.stamp(), stored, self._growable(image))
            with self.space_watched(len(data)):
                draft = Path(tempfile.mkdtemp(dir=self.incoming))
                draft.chmod(0o755)
                write_atomically(draft / MANIFEST, data, FILE_MODE, sync_names=False)
                write_atomically(draft / RECORD, encode(record), FILE_MODE, sync_names=False)
                sync_folder(draft)
                try:
                    failpoint("image.before")
                    _give_place(draft, folder)
                except OSError:
                    shutil.rmtree(draft)
                    raise
            sync_folder(self.image_folder)
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
        return self.image(digest) / MANIFEST

    def get_manifest(self, digest: str) -> bytes:
        """Return the encoded manifest; UnknownImageError where there is none."""
        return read_manifest(self.image(digest), digest, self.require_there)

    def require_chunks(self, digest: str) -> None:
        """Raise IncompleteImageError where a chunk of the image is gone; UnknownImageError."""
        self._stored(manifest_format.decode(self.get_manifest(digest)), digest)

    def record(self, digest: str) -> ImageRecord:
        """Return the image's facts.

        UnknownImageError where there is no such image, DamagedRecordError where it has none.
        """
        return read_record(self.image(digest), digest, self.require_there)

    def facts(self, digest: str) -> ImageFacts:
        """Return what is known of an image, also where a file of it is gone or damaged."""
        return image_facts(self.image(digest), digest, self._present, self.require_there)

    def renew_record(self, digest: str) -> None:
        """Write the image's record again where it is gone or damaged: the manifest has all of it.

        UnknownImageError, ManifestError where that cannot be read.
        """
        folder = self.image(digest)
        try:
            read_record(folder, digest, self.require_there)
        except DamagedRecordError as error:
            again = record_again(folder, digest, self._present, self.require_there)
            remove(error.path)
            self.write_whole(error.path, encode(again))

    def record_restore_test(self, digest: str, outcome: RestoreTest) -> None:
        """Keep the outcome of a restore test; the newest one counts."""
        self.write_whole(self._small_file(digest, RESTORE_TEST), encode(outcome))

    def restore_test(self, digest: str) -> RestoreTest | None:
        """Return the image's newest restore test, None where there was none."""
        return read_restore_test(self.image(digest), self.require_there)

    def record_signature(self, digest: str, signature: ImageSignature) -> None:
        """Keep the image's signature, in place of an earlier one; UnknownImageError."""
        self.write_whole(self._small_file(digest, SIGNATURE), encode(signature))

    def signature_of(self, digest: str) -> ImageSignature | None:
        """Return the image's signature, None where there is none; an empty one if damaged."""
        return read_signature(self.image(digest), self.require_there)

    def usable(self, digest: str) -> bool:
        """Whether the image has all its files and its newest restore test passed."""
        facts = self.facts(digest)
        return not facts.damage and facts.restore_test is not None and facts.restore_test.ok

    def image_digests(self) -> frozenset[str]:
        """Return the digests of all images, with a name or without."""
        return frozenset(
            path.name for path in self.listed(self.image_folder) if DIGEST.fullmatch(path.name)
        )

    def lost(self) -> frozenset[str]:
        """Return the images that a name leads to and that are gone from the store."""
        gone = self.names.named() - self.image_digests()
        return gone & self.names.named() if gone else gone  # else another process removed them

    def expected(self) -> frozenset[str]:
        """Return the digests of all images that are there or ought to be."""
        return self.image_digests() | self.lost()

    # --- what names lead to -----------------------------------------------------

    def images(self) -> tuple[ImageEntry, ...]:
        """Return all names with what they point to now, sorted by name."""
        newest = (entry for tag in self.names.tags() for entry in islice(self._entries(tag), 1))
        return tuple(entry for entry in newest if not entry.generation)

    def generations(self, name: str) -> tuple[ImageEntry, ...]:
        """Return all generations of a name, the newest first; UnknownImageError as ``history``."""
        return tuple(self._entries(self.names.tag_of(name)))

    def unnamed(self) -> frozenset[str]:
        """Return the images that have neither a name nor a pin."""
        without = self.image_digests() - self.names.named()
        return frozenset(digest for digest in without if not self.names.is_pinned(digest))

    def remove_unnamed(self, digests: Collection[str]) -> frozenset[str]:
        """Take images away that have neither a name nor a pin; return which.

        Their chunks stay until they are collected.
        """
        gone = Path(tempfile.mkdtemp(dir=self.incoming))
        with self.names.locked(finish=False):  # it makes room, and finishing needs some
            removed = self.unnamed() & frozenset(digests)
            for digest in removed:
                self.image(digest).rename(gone / digest)
            sync_folder(self.image_folder)
        shutil.rmtree(gone)
        return removed

    # --- inside ---------------------------------------------------------------

    def _small_file(self, digest: str, name: str) -> Path:
        """Return where a file of an image can be written; UnknownImageError without the image."""
        folder = self.image(digest)
        if not folder.exists():
            self.require_there()
            raise UnknownImageError(digest)
        path = folder / name
        if path.is_dir():
            remove(path)
        return path

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
        if not self.image(digest).exists():
            return False
        with self.names.locked(finish=False):
            if not self.image(digest).exists():
                return False
            self._mend(digest, data)
            return True

    def _mend(self, digest: str, data: bytes) -> None:
        if not self.manifest_path(digest).is_file() or self.get_manifest(digest) != data:
            remove(self.manifest_path(digest))
            self.write_whole(self.manifest_path(digest), data)
        self.renew_record(digest)

    def _entries(self, tag: Tag) -> Iterator[ImageEntry]:
        """Yield the generations of a name, the newest first, those that are damaged too."""
        generations = tag.generations
        for number, named in enumerate(generations):
            facts = self.facts(named.digest)
            record = facts.record or ImageRecord(named.at, 0, 0, 0, 0)
            if facts.record is None and not self.names.is_named(tag.name, named.digest):
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
                pinned=self.names.is_pinned(named.digest),
                named_at=named.at,
                system=record.system,
                unreadable_bytes=record.unreadable_bytes,
                layout=record.layout,
                growable=record.current_growable,
                damaged=bool(facts.damage),
                sets=self.names.sets_of(named.digest, tag.name),
                signature=self.signature_of(named.digest),
            )


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
