"""The boot block of a restore: the part of a disk that goes first and comes back last.

It is the disk's first MiB (boot sector, MBR gap, primary GPT, and the volume
descriptors by which firmware boots a hybrid ISO or UDF) and, where there is or
will be a backup GPT, the sectors of it at the disk's end. While it is zeros

- SeaBIOS finds no 0x55AA in the boot sector and tries the next device;
- OVMF finds no protective MBR, no GPT at LBA 1 or at the last LBA from which its
  partition driver would repair the other one, no El Torito and no file system at
  LBA 0, so it sees no EFI system partition on this disk.

The very first sector is written alone and last: without it neither starts.

A restore of single partitions leaves that part of the disk alone. Its boot block is the first MiB
of each of them, where every file system says what it is: while that is zeros, no loader finds
anything to start there, and nothing mounts it. The blocks that say so are written last.
"""

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from agent.imaging import gpt
from agent.imaging.chunk import CHUNK_SIZE, Chunk, digest_of, mask
from agent.imaging.device import Buffers, Device, load
from agent.imaging.errors import ManifestError, ReadBackError
from agent.imaging.extent import Extent, between, clipped, merged, without
from agent.imaging.fit import Fit
from agent.imaging.manifest import Manifest

HEAD = CHUNK_SIZE

_LABEL = 4096
_LABELS = (0, 64 << 10)
"""Where partitions say what they hold, in bytes: Btrfs at 64 KiB, all others in the first 4 KiB."""


@frozen
class HeldChunk:
    """A chunk that lies, in part, in the boot block."""

    chunk: Chunk
    content: bytes
    """The image's content."""
    was_there: bool
    """Whether the disk held all of it before anything was written."""


@frozen
class BootBlock:
    """What to take away first and to write last. Extents are merged."""

    extents: tuple[Extent, ...]
    windows: tuple[Extent, ...]
    """What is restored: the disk, or the partitions that were chosen."""
    last: tuple[Extent, ...]
    """What is written alone and last: by it, firmware or a kernel knows what is there."""
    chunks: Mapping[int, HeldChunk]
    """By offset: those in the boot block, and those that lie in the windows in part only."""
    fit: Fit

    def inside(self, chunk: Chunk) -> tuple[Extent, ...]:
        """Return the used parts of a chunk that are restored, relative to the chunk."""
        return parts_inside(chunk, self.windows)

    def outside(self, chunk: Chunk) -> tuple[Extent, ...]:
        """Return those of ``inside`` that do not lie in the boot block."""
        return without(self.inside(chunk), _relative(chunk, self.extents))


def holds(device: Device, placed: Fit, buffers: Buffers, chunk: Chunk) -> bool:
    """Return whether the disk holds the chunk."""
    with buffers.lent() as buffer:
        content = load(device, chunk.span, buffer)
        placed.to_image(chunk.span, content)
        mask(content, chunk.span.ranges)
        return digest_of(content) == chunk.digest


def boot_extents(
    manifest: Manifest, disk_size: int, placed: Fit, *, old_backup: bool
) -> tuple[Extent, ...]:
    """Return the boot block of a target. ``old_backup``: its last sector is a GPT header."""
    last = between(disk_size - manifest.sector_size, disk_size)
    tail = [patch.extent for patch in placed.patches if patch.offset >= HEAD]
    if old_backup or any(clipped(manifest.used, last)):
        tail.append(last)
    return merged((Extent(0, min(HEAD, disk_size)), *tail))


def gather(
    manifest: Manifest,
    device: Device,
    placed: Fit,
    chosen: tuple[Extent, ...],
    fetch: Callable[[Chunk], bytes],
) -> BootBlock:
    """Take the boot block's chunks from the disk where it holds them, else from the source.

    ``chosen`` are the places of the partitions that are restored; empty for the whole disk.
    Nothing is written yet: a source that lacks these chunks leaves the disk alone.
    Raises ManifestError when their content is not what the manifest says of the
    partition table.
    """
    windows = merged(chosen) or (Extent(0, device.size),)
    if chosen:
        extents = merged(Extent(each.offset, min(HEAD, each.length)) for each in chosen)
        last = merged(Extent(each.offset + at, _LABEL) for each in chosen for at in _LABELS)
    else:
        end = device.read(device.size - device.sector_size, device.sector_size)
        extents = boot_extents(manifest, device.size, placed, old_backup=gpt.has_signature(end))
        last = (Extent(0, device.sector_size),)
    held = {}
    buffers = Buffers()
    for chunk in manifest.chunks():
        inside = parts_inside(chunk, windows)
        whole = inside == chunk.span.ranges
        if not inside or (whole and not _relative(chunk, extents)):
            continue
        if was_there := whole and holds(device, placed, buffers, chunk):
            with buffers.lent() as buffer:
                view = load(device, chunk.span, buffer)
                placed.to_image(chunk.span, view)
                content = bytes(view)
        else:
            content = fetch(chunk)
        held[chunk.span.offset] = HeldChunk(chunk, content, was_there)
    block = BootBlock(extents, windows, last, held, placed)
    _refuse_other_table(manifest, block)
    return block


def invalidate(block: BootBlock, device: Device) -> None:
    """Make the disk unbootable, durably; the backup GPT goes before the primary."""
    for extent in reversed(block.extents):
        device.write_bytes(bytes(extent.length), extent.offset)
    device.flush()
    device.reread_table()


def commit(block: BootBlock, device: Device) -> None:
    """Write the boot block, that by which it is recognised last, and read it back.

    Raises ReadBackError, after making the disk unbootable again, when the disk
    does not hold what was written.
    """
    writes = _writes(block)
    for extent, data in writes:
        for part in without((extent,), block.last):
            start = part.offset - extent.offset
            device.write_bytes(data[start : start + part.length], part.offset)
    device.flush()
    for extent, data in writes:
        for part in reversed(tuple(clipped(block.last, extent))):
            start = part.offset - extent.offset
            device.write_bytes(data[start : start + part.length], part.offset)
    device.flush()
    try:
        _refuse_difference(block, device, writes)
    except ReadBackError:
        invalidate(block, device)
        raise


def _writes(block: BootBlock) -> list[tuple[Extent, bytes]]:
    """Return what goes where, the first of all places last."""
    writes: dict[Extent, bytes] = {}
    for held in block.chunks.values():
        span = held.chunk.span
        content = bytearray(held.content)
        block.fit.to_target(span, content)
        for part in block.inside(held.chunk):
            place = Extent(span.offset + part.offset, part.length)
            for extent in clipped(block.extents, place):
                start = extent.offset - span.offset
                writes[extent] = bytes(content[start : start + extent.length])
    for patch in block.fit.patches:
        if patch.offset >= HEAD:
            writes[patch.extent] = patch.raw
    return sorted(writes.items(), reverse=True)


def _refuse_other_table(manifest: Manifest, block: BootBlock) -> None:
    for region in manifest.regions:
        for held in block.chunks.values():
            span = held.chunk.span
            window = Extent(span.offset, span.length)
            for part in clipped((region.extent,), window):
                found = held.content[part.offset - span.offset : part.end - span.offset]
                start = part.offset - region.offset
                if found != region.raw[start : start + part.length]:
                    raise ManifestError(
                        f"region {region.kind} at {region.offset} is not what its chunk holds"
                    )


def _refuse_difference(
    block: BootBlock, device: Device, writes: Sequence[tuple[Extent, bytes]]
) -> None:
    """Raise ReadBackError unless the disk holds what ``commit`` wrote.

    What lies beside it in the same chunks was read back before; a file system may have grown since.
    """
    for extent, data in writes:
        if device.read(extent.offset, extent.length) != data:
            held = block.chunks.get(extent.offset // CHUNK_SIZE * CHUNK_SIZE)
            digest = held.chunk.digest if held else "of the moved partition table"
            offset = held.chunk.span.offset if held else extent.offset
            raise ReadBackError(device.node, digest, offset)


def held_is_there(
    block: BootBlock,
    device: Device,
    buffers: Buffers,
    held: HeldChunk,
    parts: tuple[Extent, ...],
) -> bool:
    """Return whether the disk holds these parts of a chunk, which are relative to it."""
    if not parts:
        return True
    expected = bytearray(held.content)
    mask(expected, parts)
    with buffers.lent() as buffer:
        found = load(device, held.chunk.span._replace(ranges=parts), buffer)
        block.fit.to_image(held.chunk.span, found)
        mask(found, parts)
        return bytes(found) == expected


def parts_inside(chunk: Chunk, extents: Sequence[Extent]) -> tuple[Extent, ...]:
    """Return the used parts of a chunk inside extents of the disk, relative to the chunk."""
    places = _relative(chunk, extents)
    return tuple(part for used in chunk.span.ranges for part in clipped(places, used))


def _relative(chunk: Chunk, extents: Sequence[Extent]) -> tuple[Extent, ...]:
    """Return the parts of a chunk inside extents of the disk, relative to the chunk."""
    base = chunk.span.offset
    return tuple(
        Extent(part.offset - base, part.length)
        for part in clipped(extents, Extent(base, chunk.span.length))
    )
