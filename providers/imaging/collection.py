"""Collecting garbage: images that nobody named or pinned, and chunks that no image needs.

Mark and sweep, beside captures, restores and other processes. First the images go that
have no name, no pin and no use; then the manifests that are left say which chunks are needed;
then, some files at a time, the others are deleted whose modification time is before
``Limits.before``. Why no image loses a chunk by that is in
``docs/decisions/0051-collecting-chunks.md``.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from attrs import frozen

from agent.errors import CodedError
from agent.imaging import manifest as manifest_format
from providers.imaging.errors import (
    DamagedRecordError,
    StoreAwayError,
    UnknownImageError,
    UnreadableImageError,
)
from providers.imaging.store import ChunkStore
from providers.imaging.store_place import remove
from providers.imaging.stored_chunks import CORRUPT


@frozen
class Limits:
    """What is not garbage, though no name leads to it."""

    before: datetime
    """Chunks that somebody was told of since, and images stored since, are left alone. Earlier
    than the beginning of every capture that is under way, by a second or more: times of files
    lag behind the clock by a tick of the kernel."""
    kept_aside: datetime
    """Corrupt chunks that were set aside since are kept for people to look at."""
    in_use: Callable[[], Collection[str]]
    """Returns the digests of images that work needs."""


@frozen
class Collected:
    """What was deleted, or would be."""

    images: tuple[str, ...]
    """Digests, sorted."""
    chunks: int
    corrupt: int
    """Files of chunks that had been set aside."""
    freed: int
    """Bytes of chunks and of files set aside."""
    too_young: int
    """Chunks that no image needs, but that a capture may: they are left for the next time."""


def collect(store: ChunkStore, limits: Limits, *, dry_run: bool = False) -> Collected:
    """Delete what nobody needs, or only say what that is.

    Raises UnreadableImageError where a manifest cannot be read; no chunk was deleted then.
    """
    for digest in sorted(store.lost()):
        raise UnreadableImageError(digest, "its folder is gone from the store")
    in_use = frozenset(limits.in_use())
    images = frozenset(
        digest
        for digest in store.unnamed() - in_use
        if _created(store, digest, limits.before) < limits.before
    )
    if not dry_run:
        images = store.remove_unnamed(images)
    sweep = _Sweep(store, limits, frozenset() if not dry_run else images)
    sweep.mark()
    for files in store.chunk_files():
        sweep.look_at(files, dry_run=dry_run)
    return Collected(
        tuple(sorted(images)), sweep.chunks, sweep.corrupt, sweep.freed, sweep.too_young
    )


def _created(store: ChunkStore, digest: str, otherwise: datetime) -> datetime:
    """Return when an image was stored.

    ``otherwise`` where another process just removed it, and where its record is damaged: people
    look at it first.
    """
    try:
        return datetime.fromisoformat(store.record(digest).created)
    except (UnknownImageError, DamagedRecordError):
        return otherwise


class _Sweep:
    def __init__(self, store: ChunkStore, limits: Limits, left_out: Collection[str]) -> None:
        self._store = store
        self._before = limits.before.timestamp()
        self._kept_aside = limits.kept_aside.timestamp()
        self._marked = set(left_out)
        self._needed: set[bytes] = set()
        self.chunks = self.corrupt = self.freed = self.too_young = 0

    def mark(self) -> None:
        """Take in the chunks of all images that were not there the last time."""
        for digest in self._store.image_digests() - self._marked:
            try:
                image = manifest_format.decode(self._store.get_manifest(digest))
            except StoreAwayError:
                raise
            except CodedError as error:
                if digest not in self._store.image_digests():
                    continue  # another process removed it
                raise UnreadableImageError(digest, error.cause) from error
            digests = image.digests
            self._needed.update(digests[at : at + 32] for at in range(0, len(digests), 32))
            self._marked.add(digest)

    def look_at(self, files: Collection[Path], *, dry_run: bool) -> None:
        """Delete those of the files that are garbage."""
        candidates = [path for path in files if not self._is_needed(path)]
        if not candidates:
            return
        with self._store.locked(alone=not dry_run):
            self.mark()
            for path in candidates:
                if not self._is_needed(path):
                    self._delete(path, dry_run=dry_run)

    def _is_needed(self, path: Path) -> bool:
        return path.suffix != CORRUPT and bytes.fromhex(path.name) in self._needed

    def _delete(self, path: Path, *, dry_run: bool) -> None:
        is_corrupt = path.suffix == CORRUPT
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if status.st_mtime >= (self._kept_aside if is_corrupt else self._before):
            self.too_young += not is_corrupt
            return
        if not dry_run:
            remove(path)
        self.chunks += not is_corrupt
        self.corrupt += is_corrupt
        self.freed += status.st_size
