"""Verifying images where they lie: every chunk is read, unpacked and hashed."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import NamedTuple

from agent.errors import CodedError, UnwritableFileError
from agent.imaging import manifest as manifest_format
from agent.imaging.chunk import Chunk, unpack
from agent.imaging.errors import CorruptChunkError, ManifestError
from agent.imaging.extent import Extent
from agent.imaging.flow import flow
from agent.imaging.manifest import Manifest
from providers.imaging.errors import (
    DamagedRecordError,
    StoreAwayError,
    UnknownChunkError,
    UnknownImageError,
)
from providers.imaging.image_folder import RECORD, RESTORE_TEST
from providers.imaging.image_record import DAMAGED, RestoreTest
from providers.imaging.store import ChunkStore
from providers.imaging.stored_chunks import MEDIUM

_MOST_NAMED = 20
_FILES = {RECORD: "record", RESTORE_TEST: "restore test"}
_MISSING = "it is missing"
_Key = tuple[str, int]
"""Digest and length of a chunk: a manifest may say a wrong one."""

Progress = Callable[[int, int], None]
"""``progress(done, total)``: bytes of the disks that were looked at, and of all."""


class Damage(NamedTuple):
    """One thing that is wrong with an image."""

    image: str
    chunk: str
    """Its digest; empty where it is no chunk that is damaged."""
    offset: int
    """On the disk."""
    length: int
    place: str
    """What lies there, in words: ``partition 3, ext4``; else which file of the image it is."""
    problem: str

    @property
    def is_mended_by_test(self) -> bool:
        """Whether a restore test that passes mends it, which needs chunks and manifest alone."""
        return self.place in _FILES.values()

    @property
    def line(self) -> str:
        """Return it in one line for people."""
        if not self.chunk:
            return f"{self.place}: {self.problem}"
        end = self.offset + self.length
        return (
            f"chunk {self.chunk[:12]}, bytes {self.offset:,} to {end:,} ({self.place}): "
            f"{self.problem}"
        )


class Verified(NamedTuple):
    """What was found."""

    images: int
    chunks: int
    """Different ones."""
    size: int
    """Bytes that they hold."""
    damages: tuple[Damage, ...]
    """Of all images of the store that need a damaged chunk, not only of those looked at."""
    unreadable: Mapping[str, int]
    """How many bytes of an image that was looked at its disk did not give; others have none."""


def verify_images(store: ChunkStore, digests: Collection[str], progress: Progress) -> Verified:
    """Read every chunk of some images and say what is wrong with which image.

    Changes nothing. A chunk that several images share is read once.
    """
    images, damages = _manifests(store, digests)
    chunks: dict[_Key, Chunk] = {}
    for image in images.values():
        for chunk in image.chunks():
            chunks.setdefault(_key(chunk), chunk)
    total, done = sum(chunk.span.length for chunk in chunks.values()), 0
    problems: dict[_Key, str] = {}
    with closing(flow(partial(_problem, store), chunks.values())) as results:
        for chunk, problem in zip(chunks.values(), results, strict=True):
            if problem:
                problems[_key(chunk)] = problem
            done += chunk.span.length
            progress(done, total)
    if problems:  # others may need the same chunks
        damages += damages_by(store, lambda chunk: problems.get(_key(chunk), ""))
    lost = {digest: each.unreadable_bytes for digest, each in images.items() if each.unreadable}
    return Verified(len(digests), len(chunks), total, tuple(damages), lost)


def damages_by(
    store: ChunkStore, problem_of: Callable[[Chunk], str], needing: Collection[str] = ()
) -> Iterator[Damage]:
    """Yield what is wrong with the images of the store, by what is wrong with each chunk.

    Where chunks are named, of those images alone that need one of them. One manifest after the
    other is read; one that cannot be is left out.
    """
    wanted = [bytes.fromhex(chunk) for chunk in needing]
    for digest in sorted(store.image_digests()):
        images, _ = _manifests(store, (digest,))
        for image in images.values():
            if not wanted or any(chunk in image.digests for chunk in wanted):
                yield from _damages(digest, image, problem_of)


def damages_of(store: ChunkStore, chunks: Collection[str]) -> tuple[Damage, ...]:
    """Look again at some chunks, and say what is wrong with the images that need them.

    That is these chunks, and what is known to be gone or was set aside before.
    """
    problems: dict[_Key, str] = {}

    def problem_of(chunk: Chunk) -> str:
        if chunk.digest not in chunks and store.has(chunk.digest):
            return problems.get(_key(chunk), "")
        if _key(chunk) not in problems:
            problems[_key(chunk)] = _problem(store, chunk)
        return problems[_key(chunk)]

    return tuple(damages_by(store, problem_of, chunks))


def missing_of(store: ChunkStore, digest: str) -> Iterator[Damage]:
    """Yield what an image lacks: its small files, or chunks. Of these, none is read that is there.

    StoreAwayError where it is the store that is not there.
    """
    images, damages = _manifests(store, (digest,))
    yield from damages
    for image in images.values():
        missing = {chunk.digest for chunk in image.chunks() if not store.has(chunk.digest)}
        if missing:
            store.require_there()
            # It may have been away.
            why = {each: _why_missing(store, each) for each in missing if not store.has(each)}
            yield from _damages(digest, image, partial(_known, why))


def _known(problems: Mapping[str, str], chunk: Chunk) -> str:
    return problems.get(chunk.digest, "")


def mark_damaged(store: ChunkStore, chunks: Collection[str]) -> tuple[tuple[Damage, ...], str]:
    """Do with chunks that a reader could not use what a verification that finds them does.

    Returns what is damaged, nothing where they can be read again, and why that could not be
    written down, as ``take_out_of_use``. StoreAwayError.
    """
    damages = damages_of(store, chunks)
    return damages, take_out_of_use(store, damages, store.stamp())


def mark_manifest(store: ChunkStore, digest: str) -> None:
    """Have an image restored no more whose manifest a reader could not use, as ``mark_damaged``."""
    _, damages = _manifests(store, (digest,))
    take_out_of_use(store, damages, store.stamp())


def take_out_of_use(store: ChunkStore, damages: Collection[Damage], at: str) -> str:
    """Set damaged chunks aside, and have their images restored no more. ``at`` is ISO 8601.

    All of it is tried. Returns why some could not be written down, empty where all was. Raises
    StoreAwayError: nothing can be said of an image then.
    """
    problems: list[str] = []
    for digest in {each.chunk for each in damages if each.chunk}:
        with _noted(problems):
            store.set_aside(digest)
    for image in {each.image for each in damages}:
        tested = damaged_test([each.line for each in damages if each.image == image], at)
        with _noted(problems), suppress(UnknownImageError):  # a name leads to it that is gone
            store.record_restore_test(image, tested)
    return problems[0] if problems else ""


def damaged_test(lines: Sequence[str], at: str) -> RestoreTest:
    """Return the restore test of an image of which these things are damaged."""
    more = len(lines) - _MOST_NAMED
    rest = [f"and {more:,} more"] if more > 0 else []
    details = (DAMAGED, *lines[:_MOST_NAMED], *rest)
    return RestoreTest(ok=False, details=details, at=at)


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """Keep why something could not be written, and go on."""
    try:
        yield
    except UnwritableFileError as error:
        problems.append(error.cause)
    except OSError as error:
        problems.append(f"{error.filename or 'the store'}: {error.strerror or error}")


def place_on_disk(image: Manifest, extent: Extent) -> str:
    """Return in words what lies at a place of the disk."""
    places = [
        _named(f"partition {part.number}" if part.number else "the whole disk", part.filesystem)
        for part in image.partitions
        if _meet(part.extent, extent)
    ]
    places += [
        _named(f"volume {each.group}/{each.name}", each.filesystem)
        for each in image.volumes
        if any(_meet(part, extent) for part in each.extents)
    ]
    if any(_meet(region.extent, extent) for region in image.regions):
        places.insert(0, "partition table")
    return "; ".join(places) or "outside partitions"


def _named(what: str, filesystem: str) -> str:
    return f"{what}, {filesystem}" if filesystem else what


def _meet(one: Extent, other: Extent) -> bool:
    return one.offset < other.end and other.offset < one.end


def _key(chunk: Chunk) -> _Key:
    return chunk.digest, chunk.span.length


def _problem(store: ChunkStore, chunk: Chunk) -> str:
    """Return what is wrong with a chunk, empty if nothing."""
    try:
        length = content_length(store, chunk.digest)
    except UnknownChunkError:
        return _why_missing(store, chunk.digest)
    except DamagedChunkError as error:
        return error.problem
    if length != chunk.span.length:
        return f"it has {length:,} bytes, its place {chunk.span.length:,}"
    return ""


def _why_missing(store: ChunkStore, digest: str) -> str:
    """Return why the store lacks a chunk: it may have been set aside."""
    try:
        frame = store.get_set_aside(digest)
        if frame is None:
            return _MISSING
        unpack(frame, digest)
    except CorruptChunkError as error:
        return f"it is corrupt and was set aside: {error.problem}"
    except OSError as error:
        if error.errno not in MEDIUM:
            raise
        return f"it was set aside and cannot be read: {error.strerror}"
    return "it was set aside as corrupt, and reads well now"


class DamagedChunkError(Exception):
    """A chunk is not what it was, or cannot be read."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def content_length(store: ChunkStore, digest: str) -> int:
    """Read a chunk, compare its digest and return the size of its content.

    Raises DamagedChunkError, UnknownChunkError, StoreAwayError where it is the store that cannot be
    read, and OSError.
    """
    try:
        return len(unpack(store.get(digest), digest))
    except CorruptChunkError as error:
        raise DamagedChunkError(f"it is corrupt: {error.problem}") from error
    except OSError as error:
        if error.errno not in MEDIUM:
            raise
        raise DamagedChunkError(f"it cannot be read: {error.strerror}") from error


def is_whole(store: ChunkStore, digest: str) -> bool:
    """Return whether the store has a chunk and it is the one of this digest."""
    try:
        content_length(store, digest)
    except (UnknownChunkError, DamagedChunkError):
        return False
    return True


def _manifests(
    store: ChunkStore, digests: Collection[str]
) -> tuple[dict[str, Manifest], list[Damage]]:
    """Return the manifests, and those that are none."""
    images: dict[str, Manifest] = {}
    damages = []
    for digest in sorted(digests):
        try:
            data = store.get_manifest(digest)
            if manifest_format.digest(data) != digest:
                raise ManifestError("its content has another digest")
            images[digest] = manifest_format.decode(data)
            store.record(digest)
            store.restore_test(digest)
        except StoreAwayError:
            raise
        except DamagedRecordError as error:
            damages.append(Damage(digest, "", 0, 0, _FILES[error.path.name], error.cause))
        except CodedError as error:
            damages.append(Damage(digest, "", 0, 0, "manifest", error.cause))
    return images, damages


def _damages(digest: str, image: Manifest, problem_of: Callable[[Chunk], str]) -> Iterator[Damage]:
    for chunk in image.chunks():
        problem = problem_of(chunk)
        if problem:
            span = chunk.span
            place = place_on_disk(image, Extent(span.offset, span.length))
            yield Damage(digest, chunk.digest, span.offset, span.length, place, problem)
