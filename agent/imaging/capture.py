"""Capture: read what is used on a disk, ship the chunks that the store lacks."""

import mmap
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from typing import Protocol

from attrs import evolve, frozen

from agent.imaging.bad_sectors import BadSectors
from agent.imaging.chunk import Span, digest_of, pack, spans
from agent.imaging.device import Buffers, Device, load, open_device, seen
from agent.imaging.errors import DiskChangedError, TooManyBadSectorsError, UnreadableSectorError
from agent.imaging.extent import Extent, common, total
from agent.imaging.flow import flow, worker_count
from agent.imaging.losses import Loss, losses, parts_of
from agent.imaging.manifest import Manifest, check
from agent.imaging.refusal import refuse_other_disk
from agent.imaging.scan import parts_on, scan, source_of
from agent.wire.disk import Disk
from agent.wire.imaged_system import ImagedSystem

Progress = Callable[[int, int], None]
"""``progress(bytes_done, bytes_total)``, called from the calling thread."""

BATCH = 16
"""Chunks per question to the store. Twice as many MiB are held in memory."""


class ChunkSink(Protocol):
    """Where chunks go. Errors it raises end the capture."""

    def missing(self, digests: Sequence[str]) -> frozenset[str]:
        """Return those of at most ``BATCH`` digests that the store lacks."""

    def put(self, digest: str, frame: bytes) -> None:
        """Store a frame and return once it is safe; called from several threads."""


_ROUNDS = 3
"""How often a disk is read anew because sectors that say what is used failed meanwhile."""


@frozen
class _Piece:
    """A chunk that was read: its content lies in the first bytes of ``buffer``."""

    span: Span
    digest: str
    buffer: mmap.mmap


def capture(  # noqa: PLR0913 - what, where to, and how much of it
    disk: Disk,
    sink: ChunkSink,
    progress: Progress,
    system: ImagedSystem | None = None,
    *,
    full: bool = False,
    partitions: Collection[int] = frozenset(),
    on_loss: Callable[[tuple[Loss, ...]], None] | None = None,
    check_on: Callable[[], None] = lambda: None,
) -> Manifest:
    """Return the image of a disk after its chunks are in the store; reads only.

    ``progress`` counts used bytes that are safe in the store; ``system`` is what is installed
    on the disk, which was looked at before; ``full`` asks for every sector, ``partitions`` for
    those of these numbers only. Sectors that cannot be read end the capture; with ``on_loss`` they
    are zeros in the image, which names them, and it is told whose they were. ``check_on`` is called
    while they are tried again, from any thread. Raises RefusedDiskError for a disk in use or not
    the inspected one, or that has no such partitions, DiskChangedError when it changed while it
    was read, UnreadableSectorError, TooManyBadSectorsError,
    DiskFailureError, CommandError, and whatever the sink raises. Nothing but chunks was
    stored then.
    """
    with open_device(disk.node, sector_size=disk.sector_size) as device:
        refuse_other_disk(disk, seen(device))
        bad = BadSectors(
            device.node,
            device.physical_sector_size,
            skip=on_loss is not None,
            check=check_on,
            clock=time.monotonic,
        )
        device.bad_sectors = bad
        try:
            look = partial(scan, device, full=full, chosen=partitions)
            manifest = _captured(device, bad, sink, progress, look)
        except UnreadableSectorError as error:
            raise error.at(device.sector_size, _place(device, error.offset)) from error
        if on_loss is not None:
            found = losses(parts_of(manifest), manifest.unreadable, partial(source_of, device))
            on_loss(tuple(found))
    manifest = evolve(manifest, system=system)
    check(manifest)
    return manifest


def _captured(
    device: Device,
    bad: BadSectors,
    sink: ChunkSink,
    progress: Progress,
    look: Callable[[], Manifest],
) -> Manifest:
    """Return the image without its system; what was lost meanwhile counts for both looks at it."""
    before = look()
    for _ in range(_ROUNDS):
        known = bad.unreadable
        digests = _ship(device, before, sink, progress)
        after = look()
        if after == before:
            return evolve(before, digests=digests, unreadable=common(bad.unreadable, before.used))
        if bad.unreadable == known:
            raise DiskChangedError(device.node, _difference(before, after))
        before = after
    raise TooManyBadSectorsError(device.node, "more of it each time that it is read")


def _place(device: Device, offset: int) -> str:
    """Return what lies at an unreadable place of the disk, as far as anybody can say."""
    sector = Extent(offset, device.sector_size)
    parts = parts_on(device)
    if parts is None:
        return ""
    return "; ".join(each.place for each in losses(parts, (sector,), partial(source_of, device)))


def _ship(device: Device, found: Manifest, sink: ChunkSink, progress: Progress) -> bytes:
    """Return the digests of all chunks, in order, once all are in the store."""
    whole = total(found.used)
    buffers = Buffers()
    digests = bytearray()
    safe = 0
    progress(safe, whole)
    reading = flow(partial(_read, device, buffers), spans(found.used, device.size))
    with closing(reading), _uploads() as shipping:
        under_way: list[Future[int]] = []
        for batch in _batches(reading):
            lacking = _lacking(batch, sink)
            for future in under_way:  # at most two batches are in memory
                safe += future.result()
            progress(safe, whole)
            under_way = [
                shipping.submit(_put, sink, buffers, piece, wanted=index in lacking)
                for index, piece in enumerate(batch)
            ]
            digests += b"".join(bytes.fromhex(piece.digest) for piece in batch)
        for future in under_way:
            safe += future.result()
        progress(safe, whole)
    return bytes(digests)


@contextmanager
def _uploads() -> Iterator[ThreadPoolExecutor]:
    """Provide the threads that ship; after an error nothing new is begun."""
    pool = ThreadPoolExecutor(2 * worker_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _read(device: Device, buffers: Buffers, span: Span) -> _Piece:
    buffer = buffers.take()
    return _Piece(span, digest_of(load(device, span, memoryview(buffer))), buffer)


def _batches(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    while batch := list(islice(pieces, BATCH)):
        yield batch


def _lacking(batch: list[_Piece], sink: ChunkSink) -> frozenset[int]:
    """Return the indices of the pieces to store, one for each content."""
    first: dict[str, int] = {}
    for index, piece in enumerate(batch):
        first.setdefault(piece.digest, index)
    missing = sink.missing(tuple(first))
    return frozenset(index for digest, index in first.items() if digest in missing)


def _put(sink: ChunkSink, buffers: Buffers, piece: _Piece, *, wanted: bool) -> int:
    """Return the piece's used bytes once it is stored."""
    if wanted:
        sink.put(piece.digest, pack(memoryview(piece.buffer)[: piece.span.length]))
    buffers.give_back(piece.buffer)
    return piece.span.used


def _difference(before: Manifest, after: Manifest) -> str:
    if before.regions != after.regions or before.table != after.table:
        return "its partition table is another one now"
    if (before.partitions, before.volumes) != (after.partitions, after.volumes):
        return "its file systems are others now"
    return "its file systems use other blocks now"
