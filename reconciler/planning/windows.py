"""Whether work may begin now, by the windows of a machine. Pure.

A window is open at every moment at which a clock on the wall of its time zone shows a time
within it. Where clocks are put forward, the hour that is left out never opens one; where they
are put back, the hour that comes twice opens it twice.

Work begins where it will also end before the window closes. On a holiday nothing begins, but
what began before may end.
"""

from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from agent.updates.windows import is_open
from specs.fleet import CompiledFleet, CompiledMachine, CompiledWindows

HORIZON = timedelta(days=366)
"""How far ahead the next opening is looked for."""
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_SHOWN = "%Y-%m-%d %H:%M %Z"


class Closed(NamedTuple):
    """Work may not begin now."""

    reason: str
    """As a clause for people: why, and until when."""
    opens: datetime | None
    """The next moment at which it may begin, in UTC; None: at none within a year."""


class _Piece(NamedTuple):
    """A stretch of time over which nothing changes, in UTC."""

    begin: datetime
    end: datetime
    allowed: bool
    """Whether work may go on."""
    holiday: bool
    """Whether none may begin."""


def windows_of(fleet: CompiledFleet, machine: CompiledMachine) -> CompiledWindows | None:
    """Return the windows of a machine, whoever says them; None where nobody does."""
    found = fleet.windows_of(machine)
    return None if found is None else found[1]


def is_in_window(windows: CompiledWindows | None, now: datetime) -> bool:
    """Return whether documents name this hour as one in which work may be done."""
    return windows is not None and bool(windows.allow) and closed(windows, now, timedelta()) is None


def closed(windows: CompiledWindows | None, now: datetime, duration: timedelta) -> Closed | None:
    """Return why work that takes about ``duration`` may not begin at ``now``; None where it may.

    ``now`` is aware. None for ``windows``: nobody says any.
    """
    if windows is None:
        return None
    now = now.astimezone(UTC)
    opens = _next_begin(windows, now, duration)
    if opens == now:
        return None
    zone = ZoneInfo(windows.time_zone)
    until = (
        f"until {opens.astimezone(zone):{_SHOWN}}"
        if opens
        else "and within a year there is no time for it"
    )
    return Closed(f"{_why(windows, now.astimezone(zone), duration)} {until}", opens)


def openings(
    windows: CompiledWindows, since: datetime, until: datetime, duration: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the first and the last moment of each stretch in which such work may begin.

    In order, in UTC, from ``since`` to ``until``; stretches may touch.
    """
    stretch: list[_Piece] = []
    for piece in _pieces(windows, since, until + duration):
        if piece.allowed:
            stretch.append(piece)
        else:
            yield from _begins(stretch, since, until, duration)
            stretch = []
    yield from _begins(stretch, since, until, duration)


def _begins(
    stretch: list[_Piece], since: datetime, until: datetime, duration: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    """Yield when work may begin that will end within pieces that follow each other."""
    for piece in stretch:
        first = max(piece.begin, since)
        last = min(piece.end - _TICK, stretch[-1].end - duration, until)
        if first <= last and not piece.holiday:
            yield first, last


def _next_begin(windows: CompiledWindows, now: datetime, duration: timedelta) -> datetime | None:
    """Return the first moment from ``now`` on at which the work may begin."""
    begin: datetime | None = None  # the first in the present stretch without a denied moment
    for piece in _pieces(windows, now, now + HORIZON + duration):
        if not piece.allowed:
            begin = None
            continue
        if begin is None and not piece.holiday:
            begin = max(piece.begin, now)
        if begin is not None and begin + duration <= piece.end:
            return begin if begin <= now + HORIZON else None
    return None


def _why(windows: CompiledWindows, local: datetime, duration: timedelta) -> str:
    if local.date() in windows.holidays:
        return f"nothing begins on {local.date()}, a holiday,"
    zone = windows.time_zone
    denied = next((each for each in windows.deny if is_open(*each, local)), None)
    if denied is not None:
        return f"inside a window without work (deny {denied} in {zone})"
    if not _is_allowed(windows, local):
        return f"outside its windows (allow {', '.join(map(str, windows.allow))} in {zone})"
    minutes = -(-duration // timedelta(minutes=1))
    return f"its {minutes} min would not end before its window closes ({windows})"


def _pieces(windows: CompiledWindows, since: datetime, until: datetime) -> Iterator[_Piece]:
    """Yield the pieces that end after ``since``, without a gap, up to ``until``."""
    day = since.date()
    while True:
        for piece in _pieces_of(windows, day):
            if piece.begin >= until:
                return
            if piece.end > since:
                yield piece
        day += _DAY


@lru_cache(maxsize=4096)
def _pieces_of(windows: CompiledWindows, day: date) -> tuple[_Piece, ...]:
    """Return the pieces of one day of UTC."""
    zone = ZoneInfo(windows.time_zone)
    first = datetime.combine(day, time(tzinfo=UTC))
    minutes = {0, *(each for window in (*windows.allow, *windows.deny) for each in window[1:])}
    # Of an hour that comes twice both moments; of one that is left out two that do no harm.
    moments = {
        datetime.combine(local, time(minute // 60, minute % 60, fold=which), zone).astimezone(UTC)
        for local in (day - _DAY, day, day + _DAY)
        for minute in minutes - {1440}
        for which in (0, 1)
    }
    moments |= {first, _clock_change(first, zone)}
    begins = sorted(each for each in moments if first <= each < first + _DAY)
    ends = (*begins[1:], first + _DAY)
    return tuple(_piece(windows, begin, end, zone) for begin, end in zip(begins, ends, strict=True))


def _piece(windows: CompiledWindows, begin: datetime, end: datetime, zone: ZoneInfo) -> _Piece:
    local = begin.astimezone(zone)
    denied = any(is_open(*each, local) for each in windows.deny)
    allowed = _is_allowed(windows, local) and not denied
    return _Piece(begin, end, allowed, local.date() in windows.holidays)


def _is_allowed(windows: CompiledWindows, local: datetime) -> bool:
    return not windows.allow or any(is_open(*each, local) for each in windows.allow)


def _clock_change(first: datetime, zone: ZoneInfo) -> datetime:
    """Return the minute of the day from ``first`` at which a zone's clocks change, else its end."""

    def has_changed(minute: int) -> bool:
        later = first + timedelta(minutes=minute)
        return later.astimezone(zone).utcoffset() != first.astimezone(zone).utcoffset()

    return first + timedelta(minutes=bisect(range(1440), False, key=has_changed))  # noqa: FBT003
