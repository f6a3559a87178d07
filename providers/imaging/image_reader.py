"""An image's bytes, read from the chunk store, by an offset on the disk or in a volume."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from agent.imaging import manifest as manifest_format
from agent.imaging.errors import ManifestError
from agent.imaging.extent import Extent
from agent.imaging.image_reader import ImageReader
from agent.imaging.manifest import Manifest
from providers.imaging.store import ChunkStore
from providers.imaging.verification import mark_manifest

__all__ = ["ExtentsReader", "ImageReader", "stored_manifest"]


def stored_manifest(store: ChunkStore, digest: str) -> Manifest:
    """Return the image's manifest.

    UnknownImageError RW434 where there is none; ManifestError RW401 where it is damaged, and the
    image is restored no more then.
    """
    try:
        return _decoded(store.get_manifest(digest), digest)
    except ManifestError:
        mark_manifest(store, digest)
        raise


def _decoded(data: bytes, digest: str) -> Manifest:
    if manifest_format.digest(data) != digest:
        raise ManifestError(f"the stored manifest of image {digest} has another digest")
    return manifest_format.decode(data)


class ExtentsReader:
    """Bytes that lie in several extents of an image, one behind the other."""

    def __init__(self, reader: ImageReader, extents: Sequence[Extent]) -> None:
        self._reader = reader
        self._extents = extents
        self._starts = [0, *accumulate(each.length for each in extents)]

    @property
    def size(self) -> int:
        """Bytes."""
        return self._starts[-1]

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes, fewer at the end; raises what ``ImageReader.read`` raises."""
        return b"".join(self._reader.read(*each) for each in self.on_disk(offset, length))

    def on_disk(self, offset: int, length: int) -> Iterator[Extent]:
        """Yield where these bytes lie on the disk."""
        end = min(offset + length, self.size)
        index = bisect_left(self._starts, offset + 1) - 1
        while offset < end:
            extent, start = self._extents[index], self._starts[index]
            stop = min(end, start + extent.length)
            yield Extent(extent.offset + offset - start, stop - offset)
            offset = stop
            index += 1
