"""Restore: make the used blocks of a disk equal to an image's.

Order, which is the promise: refusals; boot block away; what differs, fetched and
written; signatures of earlier uses cleared; everything read back; where it is asked
for, a file system grown; boot block. Cut at any point after the second step, the disk
cannot boot, and the same call finishes what is left.

Where single partitions are restored, the same holds for each of them, and nothing outside
them is written.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

from attrs import frozen

from agent.imaging.boot_block import (
    HEAD,
    BootBlock,
    commit,
    gather,
    held_is_there,
    holds,
    invalidate,
    parts_inside,
)
from agent.imaging.boot_code import BootCode, boot_code_gap, write_boot_code
from agent.imaging.chunk import (
    CHUNK_SIZE,
    ZERO_DIGEST,
    Chunk,
    differing,
    digest_of,
    unpack,
)
from agent.imaging.device import Buffers, Device, load, open_device, seen
from agent.imaging.errors import CorruptChunkError, ReadBackError, RefusedDiskError
from agent.imaging.extent import Extent, clipped, common, merged, total, without
from agent.imaging.fit import Fit, fit
from agent.imaging.flow import flow, worker_count
from agent.imaging.grow import grow_file_system
from agent.imaging.growth import NONE, Growth, growth
from agent.imaging.image_growable import growable
from agent.imaging.image_reader import ChunkSource
from agent.imaging.lvm import read_layout
from agent.imaging.manifest import OMITTED, Manifest, check
from agent.imaging.partition_choice import (
    WHOLE_DISK,
    Choice,
    chosen_places,
    refuse_other_volumes,
)
from agent.imaging.refusal import read_only, refuse_other_disk, refuse_target
from agent.imaging.signature_places import free_places
from agent.imaging.table import Table, TableError, read_table
from agent.imaging.volume_grow import grow_volume, refuse_unready
from agent.wire.disk import Disk

Progress = Callable[[int, int], None]
"""``progress(bytes_done, bytes_total)``, called from the calling thread."""


@frozen
class RestoreResult:
    """What a restore did."""

    partitions: tuple[str, ...]
    """The numbers of those that were chosen; empty for the whole disk."""
    boot_code: bool
    """Whether boot code for BIOS was written with them."""
    chunks_total: int
    chunks_written: int
    """Chunks that the disk did not hold."""
    bytes_total: int
    """Used bytes that were to be restored."""
    bytes_unreadable: int
    """Of the whole image, zeros because the captured disk did not give them."""
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


def require_target(
    manifest: Manifest,
    disk: Disk,
    source: ChunkSource,
    *,
    grow: str = NONE,
    choice: Choice = WHOLE_DISK,
) -> None:
    """Raise what ``restore`` raises before the first write, but for the boot block's chunks."""
    with _target(manifest, disk, source, grow, choice):
        pass


@frozen
class _Target:
    """An open disk, and what of the image goes where on it."""

    device: Device
    grown: Growth | None = None
    chosen: tuple[Extent, ...] = ()
    """The places of the partitions that are restored; empty for the whole disk."""
    boot_code: Extent | None = None
    """The space before the first partition, where boot code comes with the partitions."""


@contextmanager
def _target(
    manifest: Manifest, disk: Disk, source: ChunkSource, grow: str, choice: Choice
) -> Iterator[_Target]:
    """Open the disk for a restore of this image; nothing is written yet."""
    check(manifest)
    if disk.read_only:
        raise read_only(disk.node)
    with open_device(disk.node, write=True, sector_size=disk.sector_size) as device:
        facts = seen(device)
        refuse_other_disk(disk, facts)
        size = 0 if choice.partitions else manifest.disk_size
        refuse_target(disk.node, facts, size=size, sector_size=manifest.sector_size)
        if not choice.partitions:
            yield _Target(device, _growth(manifest, source, device.size, grow))
            return
        table = _table(device)
        chosen = chosen_places(manifest, disk.node, table, choice.partitions)
        refuse_other_volumes(disk.node, read_layout(device.read, chosen).groups)
        gap = boot_code_gap(manifest, table, choice.partitions) if choice.boot_code else None
        yield _Target(device, chosen=chosen, boot_code=gap)


def restore(  # noqa: PLR0913 - what, where to, where from, and three ways to take part
    manifest: Manifest,
    disk: Disk,
    source: ChunkSource,
    progress: Progress,
    *,
    grow: str = NONE,
    choice: Choice = WHOLE_DISK,
    writing: Callable[[], None] = lambda: None,
) -> RestoreResult:
    """Make the used blocks of ``disk`` equal to the image's and return what was done.

    ``grow`` is ``none``, or which partition takes the free space behind it, with its file
    system: ``last`` or a number; or the LVM volume that does: ``GROUP/VOLUME``. ``choice`` says
    what is restored: the whole disk, or partitions, of which none grows. ``progress``
    counts used bytes twice: compared or written, then read back. ``writing`` is called before the
    first write; where it raises, nothing is written.
    Before the first write it raises RefusedDiskError, ManifestError and MissingCommandError, and
    whatever the source raises for the chunks of the boot block and of LVM's metadata. After it,
    CorruptChunkError, DiskFailureError, ReadBackError, CommandError and GrowthError
    of a file system that did not grow, and whatever the source raises: the disk is
    unbootable then.
    """
    with _target(manifest, disk, source, grow, choice) as target:
        return _Restore(manifest, target, source, progress).run(writing)


def _table(device: Device) -> Table:
    """Return the disk's partition table; RefusedDiskError (RW419) where it is damaged."""
    try:
        return read_table(device.read, device.size, device.sector_size)
    except TableError as error:
        raise RefusedDiskError(
            "RW419",
            f"the partition table of {device.node} is damaged: {error}",
            "Repair the table, or restore the whole disk",
        ) from error


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
        self, manifest: Manifest, target: _Target, source: ChunkSource, progress: Progress
    ) -> None:
        device, chosen, grown = target.device, target.chosen, target.grown
        self._manifest = manifest
        self._chosen = chosen
        self._windows = merged(chosen)
        self._whole = (
            sum(total(clipped(manifest.used, window)) for window in self._windows)
            if chosen
            else manifest.used_bytes
        )
        self._device = device
        self._source = source
        self._progress = progress
        self._buffers = Buffers()
        self._grown = grown
        self._gap = target.boot_code
        self._fit = Fit() if chosen else fit(manifest, device.size, grown)
        self._done = 0
        self._fetched = 0

    def run(self, writing: Callable[[], None]) -> RestoreResult:
        fetch = self._fetch_boot_chunk
        block = gather(self._manifest, self._device, self._fit, self._chosen, fetch)
        boot_code = None
        if self._gap is not None:
            boot_code = BootCode(self._gap, fetch(next(self._manifest.chunks())))
        writing()
        invalidate(block, self._device)
        chunks, chunks_written, bytes_written = self._write(block)
        self._empty_omitted(block)
        cleared = self._clear_signatures(block)
        self._device.flush()
        self._read_back(block)
        self._grow()
        commit(block, self._device)
        if boot_code:
            write_boot_code(self._device, boot_code)
        grown = self._grown
        return RestoreResult(
            partitions=tuple(
                str(part.number)
                for part in self._manifest.partitions
                if part.extent in self._chosen
            ),
            boot_code=boot_code is not None,
            chunks_total=chunks,
            chunks_written=chunks_written,
            bytes_total=self._whole,
            bytes_unreadable=self._unreadable(),
            bytes_written=bytes_written,
            bytes_fetched=self._fetched,
            table_moved=self._manifest.table == "gpt"
            and self._device.size > self._manifest.disk_size
            and not self._chosen,
            signatures_cleared=len(cleared),
            formats_cleared=tuple(sorted(set(cleared))),
            partition_grown=grown.partition.number if grown and grown.moves_end else 0,
            volume_grown=grown.volume.name if grown and grown.volume else "",
            table_reread=self._device.reread_table(),
        )

    def _unreadable(self) -> int:
        """Return how many zeros were written for what the captured disk did not give."""
        if not self._chosen:
            return self._manifest.unreadable_bytes
        return total(common(self._manifest.unreadable, self._chosen))

    def _fetch_boot_chunk(self, chunk: Chunk) -> bytes:
        content, fetched = self._fetch(chunk)
        self._fetched += fetched
        return content

    def _fetch(self, chunk: Chunk) -> tuple[bytes, int]:
        """Return the chunk's content and how many bytes came from the source."""
        if chunk.digest == ZERO_DIGEST and chunk.span.length == CHUNK_SIZE:
            return bytes(CHUNK_SIZE), 0
        frame = self._source.get(chunk.digest)
        try:
            content = unpack(frame, chunk.digest, chunk.span.offset)
        except CorruptChunkError as corrupt:  # on the way here, or where it comes from
            try:
                frame = self._source.get(chunk.digest, checked=True)
            except CorruptChunkError:
                raise corrupt from None  # it has the place on the disk
            content = unpack(frame, chunk.digest, chunk.span.offset)
        if len(content) != chunk.span.length:
            problem = f"it has {len(content)} bytes, its place {chunk.span.length}"
            raise CorruptChunkError(chunk.digest, problem, chunk.span.offset)
        return content, len(frame)

    def _chunks(self) -> Iterator[Chunk]:
        """Yield the chunks to restore, in disk order."""
        for chunk in self._manifest.chunks():
            if not self._chosen or parts_inside(chunk, self._windows):
                yield chunk

    def _write(self, block: BootBlock) -> tuple[int, int, int]:
        """Write what differs outside the boot block; return chunks, those and bytes written."""
        chunks = differed = written = 0
        work = partial(self._write_chunk, block)
        results = flow(work, self._chunks(), workers=2 * worker_count())
        with closing(results):
            for result in results:
                chunks += 1
                differed += result.differed
                written += result.written
                self._fetched += result.fetched
                self._advance(result.used)
        return chunks, differed, written

    def _write_chunk(self, block: BootBlock, chunk: Chunk) -> _WrittenChunk:
        span, held = chunk.span, block.chunks.get(chunk.span.offset)
        used, parts = total(block.inside(chunk)), block.outside(chunk)
        if held and (held.was_there or not parts):
            return _WrittenChunk(used, differed=not held.was_there)
        with self._buffers.lent() as buffer:
            found = load(self._device, span._replace(ranges=parts), buffer)
            if not held and digest_of(found) == chunk.digest:
                return _WrittenChunk(used)
            content, fetched = (held.content, 0) if held else self._fetch(chunk)
            written = self._write_parts(span.offset, parts, buffer, content)
            return _WrittenChunk(used, differed=True, written=written, fetched=fetched)

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

    def _empty_omitted(self, block: BootBlock) -> None:
        """Zero the first MiB of partitions that the image does not hold.

        They would show what an earlier use of the disk left where they begin now.
        """
        if self._chosen:
            return
        omitted = [part.extent for part in self._manifest.partitions if part.method == OMITTED]
        heads = merged(Extent(each.offset, min(HEAD, each.length)) for each in omitted)
        for place in without(heads, block.extents):
            self._device.write_bytes(bytes(place.length), place.offset)

    def _clear_signatures(self, block: BootBlock) -> list[str]:
        """Zero the sectors with signatures that the image does not cover; return their formats."""
        device, manifest = self._device, self._manifest
        windows = list(self._chosen)
        if not windows:
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
        with closing(flow(check_chunk, self._chunks())) as results:
            for chunk, there in zip(self._chunks(), results, strict=True):
                if not there:
                    raise ReadBackError(self._device.node, chunk.digest, chunk.span.offset)
                self._advance(total(block.inside(chunk)))

    def _is_there(self, block: BootBlock, chunk: Chunk) -> bool:
        held = block.chunks.get(chunk.span.offset)
        if held is None:
            return holds(self._device, self._fit, self._buffers, chunk)
        return held_is_there(block, self._device, self._buffers, held, block.outside(chunk))

    def _grow(self) -> None:
        if self._grown and self._grown.volume:
            grow_volume(self._device, self._manifest, self._grown, self._grown.volume)
        elif self._grown:
            grow_file_system(self._device, self._grown)

    def _advance(self, used: int) -> None:
        self._done += used
        self._progress(self._done, 2 * self._whole)
