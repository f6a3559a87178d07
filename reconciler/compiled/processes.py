"""How many processes share a piece of work."""

import os

_MOST = 8

BYTES_WORTH_A_PROCESS = 1 << 20
"""Bytes of YAML below which starting another process costs more than it saves."""


def process_count(worth: int) -> int:
    """Return a number of processes of which each has something to do.

    ``worth`` is how many would have enough work to be worth starting.
    """
    return max(1, min(len(os.sched_getaffinity(0)), _MOST, worth))
