"""From when on the server has been able to hear machines without interruption.

Silence of a machine means something only while somebody could have heard it. A server that was
not running, stood still, could not write what it was told, or whose clock was set, starts to
listen anew: whatever is waited for counts from then.

The wall clock is compared with one that nobody sets (CLOCK_MONOTONIC). That one stands still
while the machine sleeps, so that sleep looks like a wall clock that was set forward.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

BEAT_SECONDS = 1.0
"""Between two looks at the clocks."""
LONGEST_GAP = timedelta(seconds=5)
"""A server that did not look for longer stood still."""
LARGEST_STEP = timedelta(seconds=5)
"""A time service corrects less without anything to be noticed."""
EVER = datetime.min.replace(tzinfo=UTC)


def ever() -> datetime:
    """Return a moment before all others, for whoever could always hear."""
    return EVER


class Interruption(NamedTuple):
    """Why the server listens anew."""

    cause: str
    clock_was_set: bool = False
    """What was to be done at a time has to be looked at again."""


class Hearing:
    """When the server began to listen, and why it had to begin anew. Has to be asked to notice.

    ``wall`` is the clock of everything that is recorded; ``steady`` returns seconds of a clock
    that nobody sets.
    """

    def __init__(self, wall: Callable[[], datetime], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._looked = wall(), steady()
        self._since = self._looked[0]
        self._news: Interruption | None = None

    def since(self) -> datetime:
        """Return from when on the server could hear, by the wall clock as it is set now."""
        now, steady = self._wall(), self._steady()
        before, steady_before = self._looked
        passed = timedelta(seconds=steady - steady_before)
        step = now - before - passed
        self._looked = now, steady
        if abs(step) > LARGEST_STEP:
            way = "forward" if step > timedelta() else "back"
            cause = f"the clock was set {way} by {_rounded(step)}, or the server slept"
            self._begin(now, Interruption(cause, clock_was_set=True))
        elif passed > LONGEST_GAP:
            self._begin(now, Interruption(f"the server stood still for {_rounded(passed)}"))
        self._since = min(self._since, now)  # small steps back add up
        return self._since

    def missed(self, cause: str) -> None:
        """Take notice that a machine spoke and that it could not be recorded."""
        self.since()
        self._begin(self._wall(), Interruption(cause))

    def news(self) -> Interruption | None:
        """Return why the server listens anew since the last call; None where it does not."""
        self.since()
        news, self._news = self._news, None
        return news

    def _begin(self, now: datetime, news: Interruption) -> None:
        self._since = now
        if self._news is None or not self._news.clock_was_set:
            self._news = news


def _rounded(amount: timedelta) -> timedelta:
    return timedelta(seconds=round(abs(amount).total_seconds()))
