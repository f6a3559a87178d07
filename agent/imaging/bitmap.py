"""Which bits are set in an allocation bitmap. Pure."""

import re
from collections.abc import Iterator

_RUNS = re.compile(rb"\xff+|\x00+|[^\x00\xff]", re.DOTALL)


def set_bits(bitmap: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first bit and the number of bits of what is set, in order and in pieces.

    Bit 0 is the lowest bit of the first byte.
    """
    for run in _RUNS.finditer(bitmap):
        value, start = run[0][0], run.start() * 8
        if value == 0xFF:  # noqa: PLR2004 - eight bits
            yield start, len(run[0]) * 8
        elif value:
            yield from ((start + bit, 1) for bit in range(8) if value >> bit & 1)
