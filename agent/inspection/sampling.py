"""Whether a disk on which nothing was recognised holds data: all of it is read, or samples."""

import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from attrs import frozen

PLACES = 256
PLACE_SIZE = 256 << 10
_FIRST_PLACES = 16
"""That many are read of every disk, however little time is left."""
_ZEROS = bytes(PLACE_SIZE)


@frozen
class Budget:
    """How long a look at all disks of a machine may take, seconds on ``clock``."""

    until: float
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> "Budget":
        """Return a budget that begins now."""
        return cls(clock() + seconds, clock)

    def is_spent(self) -> bool:
        """Return whether the time is over."""
        return self.clock() >= self.until


def content_of(node: Path, size: int, sector_size: int, budget: Budget) -> str:
    """Return what a disk without any signature holds, as people are told it.

    ``blank (whole disk read)``, ``blank (sampled: 256 places of 256 KiB)`` or
    ``data without a known signature``. Read past the cache. Raises OSError.
    """
    places = _places(size, sector_size)
    read = 0
    with (
        closing(_Reader(node)) as reader,
        closing(mmap.mmap(-1, PLACE_SIZE)) as buffer,
    ):
        for offset in places:
            if read >= _FIRST_PLACES and budget.is_spent():
                break
            length = min(PLACE_SIZE, size - offset)
            if reader.read(buffer, offset, length) != _ZEROS[:length]:
                return "data without a known signature"
            read += 1
    if read == len(places) and size <= PLACES * PLACE_SIZE:
        return "blank (whole disk read)"
    return f"blank (sampled: {read} places of {PLACE_SIZE >> 10} KiB)"


def _places(size: int, sector_size: int) -> list[int]:
    """Return where to read: start and end, then evenly between them, always more densely.

    So what is read until the time is over is spread over the disk too.
    """
    if size <= PLACES * PLACE_SIZE:
        return list(range(0, size, PLACE_SIZE))
    last = size - PLACE_SIZE
    spread = [last * index // (PLACES - 1) // sector_size * sector_size for index in range(PLACES)]
    return [spread[index] for index in _coarse_to_fine(PLACES)]


def _coarse_to_fine(count: int) -> Iterator[int]:
    """Yield the numbers below ``count`` in passes, each upwards: 0 and the last first."""
    seen: set[int] = set()
    step = count - 1
    while len(seen) < count:
        for index in range(0, count, max(1, step)):
            if index not in seen:
                seen.add(index)
                yield index
        step //= 2


class _Reader:
    """A device opened past the page cache, or a regular file that cannot be."""

    def __init__(self, node: Path) -> None:
        direct = os.O_DIRECT if node.is_block_device() else 0
        self._descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC | direct)

    def read(self, buffer: mmap.mmap, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset`` by way of a page-aligned buffer."""
        count = os.preadv(self._descriptor, [memoryview(buffer)[:length]], offset)
        return buffer[:count]

    def close(self) -> None:
        os.close(self._descriptor)
