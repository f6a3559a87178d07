"""How many processes share a piece of work."""

import os

_MOST = 8


def process_count(worth: int) -> int:
    """Return a number of processes of which each has something to do.

    ``worth`` is how many would have enough work to be worth starting.
    """
    return max(1, min(len(os.sched_getaffinity(0)), _MOST, worth))
