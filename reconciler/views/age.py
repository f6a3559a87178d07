"""How long ago something was, in the coarsest words that still help."""

from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """Return ``42 s``, ``3 min``, ``5 h`` or ``2 d``."""
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h"
    return f"{whole // _DAY} d"


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago ``at`` was; ``never`` for None."""
    return "never" if at is None else f"{duration((now - at).total_seconds())} ago"
