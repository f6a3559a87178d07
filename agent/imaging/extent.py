"""Arithmetic on byte ranges of a disk. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple


class Extent(NamedTuple):
    """``length`` bytes from ``offset``."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.length


def between(start: int, end: int) -> Extent:
    """Return the extent from ``start`` up to, not including, ``end``."""
    return Extent(start, end - start)


def merged(extents: Iterable[Extent]) -> tuple[Extent, ...]:
    """Return the same bytes as sorted extents that neither overlap nor touch."""
    result: list[Extent] = []
    for extent in sorted(extents):
        if extent.length <= 0:
            continue
        if result and extent.offset <= result[-1].end:
            last = result[-1]
            result[-1] = between(last.offset, max(last.end, extent.end))
        else:
            result.append(extent)
    return tuple(result)


def holes(extents: Sequence[Extent], window: Extent) -> Iterator[Extent]:
    """Yield the parts of ``window`` that no extent covers; ``extents`` are merged."""
    position = window.offset
    for extent in clipped(extents, window):
        if extent.offset > position:
            yield between(position, extent.offset)
        position = extent.end
    if position < window.end:
        yield between(position, window.end)


def clipped(extents: Sequence[Extent], window: Extent) -> Iterator[Extent]:
    """Yield the parts of ``extents``, which are merged, inside ``window``."""
    first = max(bisect_right(extents, (window.offset, 0)) - 1, 0)
    for index in range(first, len(extents)):
        extent = extents[index]
        if extent.offset >= window.end:
            return
        start, end = max(extent.offset, window.offset), min(extent.end, window.end)
        if start < end:
            yield between(start, end)


def common(extents: Sequence[Extent], others: Sequence[Extent]) -> tuple[Extent, ...]:
    """Return the parts of ``extents`` inside ``others``; both are merged."""
    return tuple(part for extent in extents for part in clipped(others, extent))


def without(extents: Sequence[Extent], removed: Sequence[Extent]) -> tuple[Extent, ...]:
    """Return the parts of ``extents`` outside ``removed``; both are merged."""
    return tuple(part for extent in extents for part in holes(removed, extent))


def aligned(extents: Iterable[Extent], unit: int, limit: int) -> tuple[Extent, ...]:
    """Return the extents grown outward to multiples of ``unit``, merged and cut at ``limit``."""
    return merged(
        between(
            extent.offset // unit * unit,
            min(-(-extent.end // unit) * unit, limit),
        )
        for extent in extents
        if extent.length > 0
    )


def located(pieces: Sequence[Extent], ranges: Iterable[Extent]) -> Iterator[Extent]:
    """Yield where ranges of a space lie that consists of ``pieces``, one behind the other.

    The parts of a range come in its order. What lies behind the space's end is left out.
    """
    starts = list(accumulate((piece.length for piece in pieces), initial=0))
    for wanted in ranges:
        index = max(bisect_right(starts, wanted.offset) - 1, 0)
        while index < len(pieces) and starts[index] < wanted.end:
            first = max(wanted.offset, starts[index])
            end = min(wanted.end, starts[index + 1])
            if first < end:
                yield Extent(pieces[index].offset + first - starts[index], end - first)
            index += 1


def total(extents: Iterable[Extent]) -> int:
    """Return the number of bytes of extents that do not overlap."""
    return sum(extent.length for extent in extents)
