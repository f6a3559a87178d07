"""Restore: make the used blocks of a disk equal to an image's.

Order, which is the promise: refusals; boot block away; what differs, fetched and
written; signatures of earlier uses cleared; everything read back; where it is asked
for, a file system grown; boot block. Cut at any point after the second step, the disk
cannot boot, and the same call finishes what is left.
"""

from collections.abc import Callable
from contextlib import closing
from functools import partial

from attrs import frozen

from agent.imaging.boot_block import BootBlock, commit, gather, holds, invalidate, outside
from agent.imaging.chunk import (
    CHUNK_SIZE,
    ZERO_DIGEST,
    Chunk,
    differing,
    digest_of,
    mask,
    unpack,
)
from agent.imaging.device import Buffers, Device, load, open_device, seen
from agent.imaging.errors import CorruptChunkError, ReadBackError
from agent.imaging.extent import Extent, merged, total
from agent.imaging.fit import fit
from agent.imaging.flow import flow, worker_count
from agent.imaging.grow import grow_file_system
from agent.imaging.growth import NONE, Growth, growth
from agent.imaging.image_growable import growable
from agent.imaging.image_reader import ChunkSource
from agent.imaging.manifest import Manifest, check
from agent.imaging.refusal import read_only, refuse_other_disk, refuse_target
from agent.imaging.signature_places import free_places
from agent.imaging.volume_grow import grow_volume, refuse_unready
from agent.wire.disk import Disk

Progress = Callable[[int, int], None]
"""``progress(bytes_done, bytes_total)``, called from the calling thread."""


@frozen
class RestoreResult:
    """What a restore did."""

    chunks_total: int
    chunks_written: int
    """Chunks that the disk did not hold."""
    bytes_total: int
    """Used bytes of the image."""
    bytes_written: int
    """Outside the boot block, which is written every time."""
    bytes_fetched: int
    """Compressed, the boot block's included."""
    table_moved: bool
    """Whether the backup GPT was moved to the end of a larger disk."""
    signatures_cleared: int
    """Signatures of earlier uses that the image does not cover."""
    formats_cleared: tuple[str, ...]
    """Of what formats they were, in the words of wipefs."""
    partition_grown: int
    """Its number; 0 where none was."""
    volume_grown: str
    """The LVM volume ``GROUP/VOLUME`` that took the free extents; empty where none did."""
    table_reread: bool
    """Whether the kernel now shows the new partitions."""


def restore(  # noqa: PLR0913 - what, where to, where from, and three ways to take part
    manifest: Manifest,
    disk: Disk,
    source: ChunkSource,
    progress: Progress,
    *,
    grow: str = NONE,
    writing: Callable[[], None] = lambda: None,
) -> RestoreResult:
    """Make the used blocks of ``disk`` equal to the image's and return what was done.

    ``grow`` is ``none``, or which partition takes the free space behind it, with its file
    system: ``last`` or a number; or the LVM volume that does: ``GROUP/VOLUME``. ``progress``
    counts used bytes twice: compared or written, then read back. ``writing`` is called before the
    first write; where it raises, nothing is written.
    Before the first write it raises RefusedDiskError, ManifestError and MissingCommandError, and
    whatever the source raises for the chunks of the boot block and of LVM's metadata. After it,
    CorruptChunkError, DiskFailureError, ReadBackError, CommandError and GrowthError
    of a file system that did not grow, and whatever the source raises: the disk is
    unbootable then.
    """
    check(manifest)
    if disk.read_only:
        raise read_only(disk.node)
    with open_device(disk.node, write=True, sector_size=disk.sector_size) as device:
        facts = seen(device)
        refuse_other_disk(disk, facts)
        refuse_target(disk.node, facts, size=manifest.disk_size, sector_size=manifest.sector_size)
        grown = _growth(manifest, source, device.size, grow)
        return _Restore(manifest, device, source, progress, grown).run(writing)


def _growth(manifest: Manifest, source: ChunkSource, size: int, grow: str) -> Growth | None:
    if grow == NONE:
        return None
    grown = growth(growable(manifest, source), size, grow)
    if grown:
        refuse_unready(grown)
    return grown


@frozen
class _WrittenChunk:
    """What was done for one chunk, in bytes; the boot block comes later."""

    used: int
    differed: bool = False
    written: int = 0
    fetched: int = 0


class _Restore:
    """One restore to one open disk."""

    def __init__(
        self,
        manifest: Manifest,
        device: Device,
        source: ChunkSource,
        progress: Progress,
        grown: Growth | None,
    ) -> None:
        self._manifest = manifest
        self._device = device
        self._source = source
        self._progress = progress
        self._buffers = Buffers()
        self._grown = grown
        self._fit = fit(manifest, device.size, grown)
        self._done = 0
        self._fetched = 0

    def run(self, writing: Callable[[], None]) -> RestoreResult:
        block = gather(self._manifest, self._device, self._fit, self._fetch_boot_chunk)
        writing()
        invalidate(block, self._device)
        chunks_written, bytes_written = self._write(block)
        cleared = self._clear_signatures(block)
        self._device.flush()
        self._read_back(block)
        self._grow()
        commit(block, self._device)
        grown = self._grown
        return RestoreResult(
            chunks_total=self._manifest.chunk_count,
            chunks_written=chunks_written,
            bytes_total=self._manifest.used_bytes,
            bytes_written=bytes_written,
            bytes_fetched=self._fetched,
            table_moved=self._manifest.table == "gpt"
            and self._device.size > self._manifest.disk_size,
            signatures_cleared=len(cleared),
            formats_cleared=tuple(sorted(set(cleared))),
            partition_grown=grown.partition.number if grown and grown.moves_end else 0,
            volume_grown=grown.volume.name if grown and grown.volume else "",
            table_reread=self._device.reread_table(),
        )

    def _fetch_boot_chunk(self, chunk: Chunk) -> bytes:
        content, fetched = self._fetch(chunk)
        self._fetched += fetched
        return content

    def _fetch(self, chunk: Chunk) -> tuple[bytes, int]:
        """Return the chunk's content and how many bytes came from the source."""
        if chunk.digest == ZERO_DIGEST and chunk.span.length == CHUNK_SIZE:
            return bytes(CHUNK_SIZE), 0
        frame = self._source.get(chunk.digest)
        content = unpack(frame, chunk.digest, chunk.span.offset)
        if len(content) != chunk.span.length:
            problem = f"it has {len(content)} bytes, its place {chunk.span.length}"
            raise CorruptChunkError(chunk.digest, problem, chunk.span.offset)
        return content, len(frame)

    def _write(self, block: BootBlock) -> tuple[int, int]:
        """Write what differs outside the boot block; return chunks and bytes written."""
        chunks = written = 0
        work = partial(self._write_chunk, block)
        results = flow(work, self._manifest.chunks(), workers=2 * worker_count())
        with closing(results):
            for result in results:
                chunks += result.differed
                written += result.written
                self._fetched += result.fetched
                self._advance(result.used)
        return chunks, written

    def _write_chunk(self, block: BootBlock, chunk: Chunk) -> _WrittenChunk:
        span = chunk.span
        with self._buffers.lent() as buffer:
            found = load(self._device, span, buffer)
            held = block.chunks.get(span.offset)
            if held.was_there if held else digest_of(found) == chunk.digest:
                return _WrittenChunk(span.used)
            content, fetched = (held.content, 0) if held else self._fetch(chunk)
            written = self._write_parts(span.offset, outside(block, chunk), buffer, content)
            return _WrittenChunk(span.used, differed=True, written=written, fetched=fetched)

    def _write_parts(
        self, base: int, parts: tuple[Extent, ...], buffer: memoryview, content: bytes
    ) -> int:
        """Write what differs from the disk's content, which is in ``buffer``; return its bytes."""
        wanted = memoryview(content)
        changed = differing(buffer, wanted, parts)
        for part in changed:
            buffer[part.offset : part.end] = wanted[part.offset : part.end]
            self._device.write(buffer[part.offset : part.end], base + part.offset)
        return total(changed)

    def _clear_signatures(self, block: BootBlock) -> list[str]:
        """Zero the sectors with signatures that the image does not cover; return their formats."""
        device, manifest = self._device, self._manifest
        windows = [Extent(0, device.size), *(part.extent for part in manifest.partitions)]
        if self._grown:
            windows.append(self._grown.extent)
        covered = merged((*manifest.used, *block.extents))
        cleared = []
        for area, places in free_places(windows, covered, device.sector_size):
            content = device.read(area.offset, area.length)
            for place in places:
                if content.startswith(place.magic, place.offset - area.offset):
                    device.write_bytes(bytes(place.sectors.length), place.sectors.offset)
                    cleared.append(place.format)
        return cleared

    def _read_back(self, block: BootBlock) -> None:
        """Raise ReadBackError unless the disk holds all that lies outside the boot block."""
        check_chunk = partial(self._is_there, block)
        with closing(flow(check_chunk, self._manifest.chunks())) as results:
            for chunk, there in zip(self._manifest.chunks(), results, strict=True):
                if not there:
                    raise ReadBackError(self._device.node, chunk.digest, chunk.span.offset)
                self._advance(chunk.span.used)

    def _is_there(self, block: BootBlock, chunk: Chunk) -> bool:
        held = block.chunks.get(chunk.span.offset)
        if held is None:
            return holds(self._device, self._fit, self._buffers, chunk)
        parts = outside(block, chunk)
        expected = bytearray(held.content)
        mask(expected, parts)
        with self._buffers.lent() as buffer:
            found = load(self._device, chunk.span, buffer)
            mask(found, parts)
            return bytes(found) == expected

    def _grow(self) -> None:
        if self._grown and self._grown.volume:
            grow_volume(self._device, self._manifest, self._grown, self._grown.volume)
        elif self._grown:
            grow_file_system(self._device, self._grown)

    def _advance(self, used: int) -> None:
        self._done += used
        self._progress(self._done, 2 * self._manifest.used_bytes)
