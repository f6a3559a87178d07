"""Which work waits for the image store, or for room in it, and since when: noted as a delay."""

from datetime import datetime, timedelta

from providers.imaging.errors import BACK, ROOM, NoSpaceError, StoreAwayError
from reconciler.loop.delays import DelayLog

_CALM = timedelta(seconds=45)
"""Agents come again after half a minute at most. A capture stores several chunks beside one
another, of which the smaller ones may fit: only when none is refused any more does it go on."""


class StoreWaits:
    """Hears of every chunk; the delay of an operation that ends is ended by the loop."""

    def __init__(self, delays: DelayLog, now: datetime) -> None:
        self._delays = delays
        self._refused = dict.fromkeys(delays.waiting_for(ROOM, BACK), now)

    @property
    def is_empty(self) -> bool:
        """Return whether no work waits."""
        return not self._refused

    def refused(self, op_id: str, error: NoSpaceError | StoreAwayError, now: datetime) -> bool:
        """Note that work did not get on; return whether it waits from now on."""
        waits = self._delays.waiting_for(ROOM, BACK)
        self._refused = {each: at for each, at in self._refused.items() if each in waits}
        self._refused[op_id] = now
        if op_id in waits:
            return False
        self._delays.note(op_id, error.wait, now)
        return True

    def served(self, op_id: str, now: datetime) -> None:
        """Note that something of it was stored or read."""
        at = self._refused.get(op_id)
        if at is not None and now - at > _CALM:
            del self._refused[op_id]
            self._delays.note(op_id, "", now)
