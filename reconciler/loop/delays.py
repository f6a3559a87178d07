"""Notes what work waits for, and writes it down in pieces beside the loop's work.

Nothing is decided by it: what was not written when a server is killed is noted by the next one
from then on.
"""

from collections import deque
from datetime import datetime
from itertools import islice

from reconciler.loop.decide import Outcome, WaitForBudget, WaitUntil
from reconciler.state.delays import Change, Delays

_AT_ONCE = 250
"""Changes that are written in one transaction."""


def why_put_off(outcome: Outcome) -> str:
    """Return what approved work waits for, as a clause; empty where it waits for nothing."""
    match outcome:
        case WaitForBudget(_, _, limit):
            return str(limit)
        case WaitUntil(_, why):
            return why
    return ""


class DelayLog:
    """What each operation waits for now, as far as the loop looked."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._present = {op_id: each.why for op_id, each in delays.present().items()}
        self._unwritten: deque[Change] = deque()

    def waiting_for(self, *what: str) -> frozenset[str]:
        """Return the operations that wait for something that begins with one of these texts."""
        return frozenset(op_id for op_id, why in self._present.items() if why.startswith(what))

    def note(self, op_id: str, why: str, now: datetime) -> None:
        """Take notice of what an operation waits for; empty: for nothing any more."""
        if self._present.get(op_id, "") == why:
            return
        if why:
            self._present[op_id] = why
        else:
            del self._present[op_id]
        self._unwritten.append(Change(op_id, why, now))

    def write(self) -> bool:
        """Write some of it down; return whether more waits. StateError where that fails."""
        some = tuple(islice(self._unwritten, _AT_ONCE))
        if some:
            self._delays.record(some)
            for _ in some:
                self._unwritten.popleft()
        return bool(self._unwritten)
