"""An image's bytes by their offset, read from where its chunks are.

What the image does not use reads as zeros. A chunk is fetched when it is needed first and
checked by its digest when it is unpacked; the last ``CACHE_CHUNKS`` are kept unpacked. A
reader's memory is that cache, 8 bytes for each chunk of the image, and the manifest.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from agent.imaging.chunk import CHUNK_SIZE, ZERO_DIGEST, mask, spans, unpack
from agent.imaging.errors import CorruptChunkError
from agent.imaging.extent import Extent, between, clipped
from agent.imaging.manifest import Manifest

CACHE_CHUNKS = 64
"""Unpacked chunks that one reader keeps: 64 MiB."""

_DIGEST_BYTES = 32


class ChunkSource(Protocol):
    """Where chunks come from. Whoever asks gets the errors that it raises."""

    def get(self, digest: str, *, checked: bool = False) -> bytes:
        """Return a chunk's frame; called from several threads.

        With ``checked`` the source looks first whether it is the chunk: CorruptChunkError RW402.
        """


class ImageReader:
    """The disk that an image describes. For one thread."""

    def __init__(
        self, image: Manifest, store: ChunkSource, *, cache_chunks: int = CACHE_CHUNKS
    ) -> None:
        self.image = image
        self._store = store
        self._cache_chunks = cache_chunks
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._offsets = array("Q", (each.offset for each in spans(image.used, image.disk_size)))

    def read(self, offset: int, length: int) -> bytes:
        """Return the disk's bytes, fewer at its end.

        Raises UnknownChunkError RW430 and CorruptChunkError RW402.
        """
        end = min(offset + length, self.image.disk_size)
        pieces = []
        while offset < end:
            start = offset // CHUNK_SIZE * CHUNK_SIZE
            stop = min(end, start + CHUNK_SIZE)
            content = self._content(start)
            pieces.append(content[offset - start : stop - start] or bytes(stop - offset))
            offset = stop
        return b"".join(pieces)

    def pieces(self, extent: Extent) -> Iterator[tuple[Extent, str]]:
        """Yield the parts of an extent in one chunk each, with the digest of that chunk.

        The digest is empty where the chunk has no used byte. Two images have the same bytes
        where these are equal.
        """
        position = extent.offset
        while position < extent.end:
            start = position // CHUNK_SIZE * CHUNK_SIZE
            index = self._index(start)
            end = min(start + CHUNK_SIZE, extent.end)
            yield between(position, end), "" if index is None else self._digest(index)
            position = end

    def _content(self, start: int) -> bytes:
        """Return the content of the chunk at ``start``, nothing for one that is zeros."""
        index = self._index(start)
        if index is None:
            return b""
        content = self._cache.pop(index, None)
        if content is None:
            content = self._load(index, start)
            if len(self._cache) >= self._cache_chunks:
                self._cache.popitem(last=False)
        self._cache[index] = content
        return content

    def _load(self, index: int, start: int) -> bytes:
        digest = self._digest(index)
        if digest == ZERO_DIGEST:
            return b""
        content = bytearray(unpack(self._store.get(digest), digest, start))
        length = min(CHUNK_SIZE, self.image.disk_size - start)
        if len(content) != length:
            raise CorruptChunkError(
                digest, f"it has {len(content)} bytes, its place {length}", start
            )
        used = clipped(self.image.used, Extent(start, length))
        mask(content, [Extent(each.offset - start, each.length) for each in used])
        return bytes(content)

    def _index(self, start: int) -> int | None:
        index = bisect_left(self._offsets, start)
        found = index < len(self._offsets) and self._offsets[index] == start
        return index if found else None

    def _digest(self, index: int) -> str:
        place = index * _DIGEST_BYTES
        return self.image.digests[place : place + _DIGEST_BYTES].hex()
