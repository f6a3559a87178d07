"""Keys of machines with the time at which each is to be looked at. Pure.

A key is in the queue once. Whoever asks earlier, or more urgently, wins; what is due is
handed out by urgency first, then by time. Cf. the work queues of Kubernetes controllers.
"""

from datetime import datetime
from enum import IntEnum
from heapq import heappop, heappush


class Urgency(IntEnum):
    """Who waits for a look at the machine."""

    MACHINE = 0
    """The machine itself: it boots, claims, reports."""
    PERSON = 1
    """Somebody who approved or cleared something."""
    TIMER = 2
    """Nobody in particular: a time was reached."""
    SWEEP = 3
    """A new revision: every machine is looked at once."""


class ReconcileQueue:
    """Which machine is to be looked at next."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[datetime, Urgency]] = {}
        self._later: list[tuple[datetime, int, str]] = []
        self._ready: list[tuple[Urgency, datetime, int, str]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._due)

    def add(self, key: str, at: datetime, urgency: Urgency = Urgency.TIMER) -> None:
        """Look at a machine at a time; an earlier one that is known stays."""
        known = self._due.get(key)
        if known is not None:
            if known[0] <= at and known[1] <= urgency:
                return
            at, urgency = min(known[0], at), min(known[1], urgency)
        self._due[key] = at, urgency
        self._number += 1
        heappush(self._later, (at, self._number, key))

    def pop(self, now: datetime) -> str | None:
        """Return the most urgent key that is due, and forget it; None when none is."""
        while self._later and self._later[0][0] <= now:
            at, number, key = heappop(self._later)
            known = self._due.get(key)
            if known is not None and known[0] == at:
                heappush(self._ready, (known[1], at, number, key))
        while self._ready:
            urgency, at, _, key = heappop(self._ready)
            if self._due.get(key) == (at, urgency):
                del self._due[key]
                return key
        return None

    def next_time(self) -> datetime | None:
        """Return when the first key is due; None when there is none."""
        if self._ready:
            return self._ready[0][1]
        while self._later:
            at, _, key = self._later[0]
            if key in self._due and self._due[key][0] == at:
                return at
            heappop(self._later)
        return None

    def clear(self) -> None:
        """Forget every key."""
        self._due.clear()
        self._later.clear()
        self._ready.clear()
