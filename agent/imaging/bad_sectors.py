"""Sectors that a disk does not give back: found one by one, tried again, refused or marked.

A read that fails is repeated in small pieces, and what fails of these in the smallest unit that
the disk can lose, each a few times: what can be read of a MiB is read. What stays unreadable ends
the capture, or is taken as zeros and remembered. What was lost once is not asked for again, so
that a sector that comes and goes is the same all through one capture.
"""

import errno
import threading
from bisect import bisect_right
from collections.abc import Callable

from agent.imaging.errors import TooManyBadSectorsError, UnreadableSectorError
from agent.imaging.extent import Extent, between, clipped, holes

MEDIUM_ERRORS = frozenset((errno.EIO, errno.ENODATA, errno.EILSEQ, errno.EREMOTEIO))
"""What the kernel says of a place that a disk cannot read (Linux, block/blk-core.c, blk_errors).

A SCSI or ATA disk's own word that a sector is bad arrives as ENODATA, not as EIO.
"""

PIECE = 64 << 10
"""Bytes that are read at once around a failing place."""

TRIES = 3
"""How often the smallest unit is read by itself before it counts as lost."""

MOST_LOST = 64 << 20
"""Bytes that may be lost of one disk. More is a case for a rescue, not for a backup."""

MOST_SECONDS = 3600.0
"""Seconds that may be spent around failing places of one disk."""

MOST_RANGES = 100_000
"""Separate ranges that may be lost of one disk; the manifest keeps each."""

ReadOnce = Callable[[memoryview, int], None]
"""Fills a view from an offset of the disk; raises OSError where that fails."""


class BadSectors:
    """The unreadable sectors of one disk, as one capture finds them. Thread-safe.

    ``unit`` is the smallest number of bytes that the disk loses, its physical sector. With
    ``skip`` they read as zeros, else the first one raises. ``check`` is called before each attempt
    and raises where the capture has to stop; ``clock`` returns seconds.
    """

    def __init__(
        self,
        node: str,
        unit: int,
        *,
        skip: bool,
        check: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.node = node
        self.skip = skip
        self._unit = unit
        self._check = check
        self._clock = clock
        self._seconds = 0.0
        self._lost: list[Extent] = []
        self._count = 0
        self._lock = threading.RLock()

    @property
    def unreadable(self) -> tuple[Extent, ...]:
        """What was lost so far, sorted and merged."""
        with self._lock:
            return tuple(self._lost)

    def meets(self, extent: Extent) -> bool:
        """Whether something that was lost lies in the extent."""
        with self._lock:
            return bool(self._lost) and next(clipped(self._lost, extent), None) is not None

    def fill(self, read_once: ReadOnce, view: memoryview, offset: int) -> None:
        """Fill ``view`` from ``offset`` as far as the disk can be read, the rest with zeros.

        UnreadableSectorError RW423 without ``skip``, TooManyBadSectorsError RW424 with it; and
        what ``read_once`` raises beside OSErrors of the medium.
        """
        if self.meets(Extent(offset, len(view))) or not _succeeds(read_once, view, offset):
            self._fill_in_pieces(read_once, view, offset)

    def _fill_in_pieces(self, read_once: ReadOnce, view: memoryview, offset: int) -> None:
        window = Extent(offset, len(view))
        with self._lock:  # a disk with bad sectors is not asked for several at once
            start = self._clock()
            known = tuple(clipped(self._lost, window))
            for part in known:
                view[part.offset - offset : part.end - offset] = bytes(part.length)
            for part in holes(known, window):
                for piece in _pieces(part, PIECE):
                    self._read_piece(read_once, view, offset, piece, start)
            self._seconds += self._clock() - start

    def _read_piece(
        self, read_once: ReadOnce, view: memoryview, offset: int, piece: Extent, start: float
    ) -> None:
        self._check()
        if _succeeds(read_once, view[piece.offset - offset : piece.end - offset], piece.offset):
            return
        for unit in _pieces(piece, self._unit):
            part = view[unit.offset - offset : unit.end - offset]
            for _ in range(TRIES):
                self._check()
                if _succeeds(read_once, part, unit.offset):
                    break
            else:
                self._lose(unit, self._seconds + self._clock() - start)
                part[:] = bytes(unit.length)

    def _lose(self, unit: Extent, seconds: float) -> None:
        if not self.skip:
            raise UnreadableSectorError(self.node, unit.offset)
        _add(self._lost, unit)
        self._count += unit.length
        if self._count > MOST_LOST:
            raise TooManyBadSectorsError(self.node, f"more than {MOST_LOST:,} bytes of it")
        if len(self._lost) > MOST_RANGES:
            raise TooManyBadSectorsError(self.node, f"more than {MOST_RANGES:,} places of it")
        if seconds > MOST_SECONDS:
            what = f"{self._count:,} bytes of it so far, in {seconds:,.0f} s of trying,"
            raise TooManyBadSectorsError(self.node, what)


def _succeeds(read_once: ReadOnce, view: memoryview, offset: int) -> bool:
    try:
        read_once(view, offset)
    except OSError as error:
        if error.errno in MEDIUM_ERRORS:
            return False
        raise
    return True


def _pieces(extent: Extent, size: int) -> list[Extent]:
    """Return the extent cut at the multiples of ``size``."""
    starts = [extent.offset, *range((extent.offset // size + 1) * size, extent.end, size)]
    return [
        between(start, end) for start, end in zip(starts, [*starts[1:], extent.end], strict=True)
    ]


def _add(lost: list[Extent], unit: Extent) -> None:
    """Put a unit into sorted extents, of which none has any of it, and join its neighbours."""
    start, end = unit.offset, unit.end
    index = bisect_right(lost, unit)
    if index and lost[index - 1].end == start:
        index -= 1
        start = lost.pop(index).offset
    if index < len(lost) and lost[index].offset == end:
        end = lost.pop(index).end
    lost.insert(index, between(start, end))
