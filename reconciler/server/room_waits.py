"""Which captures wait for room in the image store, and since when: noted as a delay."""

from datetime import datetime, timedelta

from providers.imaging.errors import ROOM, NoSpaceError
from reconciler.loop.delays import DelayLog

_CALM = timedelta(seconds=45)
"""Agents come again after half a minute at most. A capture stores several chunks beside one
another, of which the smaller ones may fit: only when none is refused any more does it go on."""


class RoomWaits:
    """Hears of every chunk; the delay of an operation that ends is ended by the loop."""

    def __init__(self, delays: DelayLog, now: datetime) -> None:
        self._delays = delays
        self._refused = dict.fromkeys(delays.waiting_for(ROOM), now)

    @property
    def is_empty(self) -> bool:
        """Return whether no capture waits."""
        return not self._refused

    def refused(self, op_id: str, error: NoSpaceError, now: datetime) -> bool:
        """Note that there was no room for a capture; return whether it waits from now on."""
        waits = self._delays.waiting_for(ROOM)
        self._refused = {each: at for each, at in self._refused.items() if each in waits}
        self._refused[op_id] = now
        if op_id in waits:
            return False
        self._delays.note(op_id, error.wait, now)
        return True

    def stored(self, op_id: str, now: datetime) -> None:
        """Note that something of a capture was stored."""
        at = self._refused.get(op_id)
        if at is not None and now - at > _CALM:
            del self._refused[op_id]
            self._delays.note(op_id, "", now)
