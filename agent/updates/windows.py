"""Whether a clock on the wall shows a time within a window. Pure."""

from collections.abc import Collection
from datetime import datetime


def is_open(days: Collection[int], begin: int, end: int, local: datetime) -> bool:
    """Return whether a clock that shows ``local`` shows a time within the window.

    ``days`` are those on which it opens, Monday is 0; ``begin`` and ``end`` are minutes since
    midnight. One that ends before it begins lasts past midnight.
    """
    minute = local.hour * 60 + local.minute
    if begin < end:
        return local.weekday() in days and begin <= minute < end
    opened = local.weekday() if minute >= begin else (local.weekday() - 1) % 7
    return opened in days and not end <= minute < begin
