"""How long ago something was, in the coarsest words that still help."""

from datetime import datetime

from reconciler.state.observed import is_future

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
    """Return how long ago ``at`` was; ``never`` for None, the time where it is still to come."""
    if at is None:
        return "never"
    if is_future(at, now):  # the clock was set back since
        return f"unknown ({at:%Y-%m-%d %H:%M} UTC is still to come)"
    return f"{duration((now - at).total_seconds())} ago"
