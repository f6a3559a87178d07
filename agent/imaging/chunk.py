"""Chunks: one MiB of a disk each, aligned to disk offsets, addressed by content.

A chunk's content is the disk's bytes with every unused range as zeros. Its
digest is the BLAKE3-256 of that content. It is stored and transported as one
zstd frame that states its content size. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import blake3
import zstandard

from agent.imaging.errors import CorruptChunkError
from agent.imaging.extent import Extent, between

CHUNK_SIZE = 1 << 20

BLOCK = 4096
"""Bytes that are compared and written at least: what most disks write at once."""

MAX_FRAME_SIZE = CHUNK_SIZE + 8192
"""Bytes. Above ZSTD_compressBound of a full chunk (1 MiB + 4 KiB) plus the frame's header."""

_LEVEL = 1  # On disk images level 3 saves no measurable space and costs a third of the speed.

Buffer = bytes | bytearray | memoryview

_ZEROS = bytes(CHUNK_SIZE)
_WHOLE = (Extent(0, CHUNK_SIZE),)


class Span(NamedTuple):
    """The place of a chunk: ``length`` disk bytes from ``offset``.

    ``ranges`` are the used parts, relative to ``offset``, sorted and apart.
    """

    offset: int
    length: int
    ranges: tuple[Extent, ...]

    @property
    def used(self) -> int:
        """Used bytes."""
        return sum(part.length for part in self.ranges)


class Chunk(NamedTuple):
    """A span and the digest (64 hex digits) of its content."""

    span: Span
    digest: str


def spans(used: Iterable[Extent], disk_size: int) -> Iterator[Span]:
    """Yield the span of every chunk that has a used range, in disk order.

    ``used`` is sorted and merged. Chunks without a used range do not exist.
    """
    offset = -1
    ranges: list[Extent] = []
    for extent in used:
        position = extent.offset
        while position < extent.end:
            chunk = position // CHUNK_SIZE * CHUNK_SIZE
            if chunk != offset:
                if ranges:
                    yield _span(offset, ranges, disk_size)
                offset, ranges = chunk, []
                if position == chunk and extent.end >= chunk + CHUNK_SIZE:
                    yield Span(chunk, CHUNK_SIZE, _WHOLE)  # most of a large image
                    position += CHUNK_SIZE
                    continue
            end = min(extent.end, chunk + CHUNK_SIZE)
            ranges.append(Extent(position - chunk, end - position))
            position = end
    if ranges:
        yield _span(offset, ranges, disk_size)


def count_spans(used: Iterable[Extent]) -> int:
    """Return how many chunks ``spans`` yields for the same extents."""
    count = 0
    last = -1
    for extent in used:
        first = extent.offset // CHUNK_SIZE
        end = (extent.offset + extent.length - 1) // CHUNK_SIZE
        count += end - first + (first != last)
        last = end
    return count


def mask(content: memoryview | bytearray, ranges: Sequence[Extent]) -> None:
    """Set everything outside ``ranges`` to zeros, in place."""
    position = 0
    for part in ranges:
        if part.offset > position:
            content[position : part.offset] = _ZEROS[: part.offset - position]
        position = part.end
    if position < len(content):
        content[position:] = _ZEROS[: len(content) - position]


def differing(one: memoryview, other: memoryview, ranges: Sequence[Extent]) -> tuple[Extent, ...]:
    """Return the parts of ``ranges`` where two contents of one span differ.

    In whole blocks of ``BLOCK`` bytes, but for the ends of a range.
    """
    found: list[Extent] = []
    for part in ranges:
        start = end = part.offset  # of what differs and was not added yet
        while end < part.end:
            block = min((end // BLOCK + 1) * BLOCK, part.end)
            # As bytes: memoryviews are compared item by item, eight times as slowly.
            if bytes(one[end:block]) == bytes(other[end:block]):
                found += [between(start, end)] if start < end else []
                start = block
            end = block
        found += [between(start, end)] if start < end else []
    return tuple(found)


def digest_of(content: Buffer) -> str:
    """Return the chunk's name: the BLAKE3-256 of its content in hex."""
    if is_zero(content) and len(content) == CHUNK_SIZE:
        return ZERO_DIGEST
    return blake3.blake3(content).hexdigest()


def is_zero(content: Buffer) -> bool:
    """Whether the content, at most one chunk, is all zeros."""
    first = content[:512]
    return bytes(first) == _ZEROS[: len(first)] and bytes(content) == _ZEROS[: len(content)]


def pack(content: Buffer) -> bytes:
    """Return the content as one zstd frame that states its content size."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(content)


def unpack(frame: bytes, digest: str, offset: int | None = None) -> bytes:
    """Return the content of a frame, which is at most one MiB.

    Raises CorruptChunkError when the frame is not exactly one zstd frame with a
    stated content size, or its content is not what ``digest`` names. ``offset``
    only enters the error's text.
    """
    if len(frame) > MAX_FRAME_SIZE:
        raise CorruptChunkError(
            digest, f"{len(frame):,} bytes, a frame has at most {MAX_FRAME_SIZE:,}", offset
        )
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 < size <= CHUNK_SIZE:
            raise CorruptChunkError(
                digest, f"states {size:,} content bytes, a chunk has 1 to {CHUNK_SIZE:,}", offset
            )
        content = zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptChunkError(digest, f"no zstd frame ({error})", offset) from error
    found = digest_of(content)
    if found != digest:
        raise CorruptChunkError(digest, f"its content has the digest {found}", offset)
    return content


def _span(offset: int, ranges: list[Extent], disk_size: int) -> Span:
    return Span(offset, min(CHUNK_SIZE, disk_size - offset), tuple(ranges))


ZERO_DIGEST = blake3.blake3(_ZEROS).hexdigest()
"""The digest of a full chunk of zeros, which is never worth a transfer."""
