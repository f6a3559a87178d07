"""How long the steps of one attempt may still take. A step that waits for its turn is not begun."""

from agent.clock import Clock
from agent.errors import TimeLimitError
from agent.progress import clock_text
from agent.wire.work import TimeLimit, Work


class Deadlines:
    """The time limits of one attempt; ``check`` may be called from any thread."""

    def __init__(self, work: Work, clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self._step = 0
        self._ends: dict[TimeLimit, float] = {}

    def begin(self, step: int) -> None:
        """Take notice that a step begins: limits that begin with it run from now on."""
        self._step = step
        for limit in self._work.limits:
            if limit.first == step:
                self._ends[limit] = self._clock.monotonic() + limit.seconds

    def overdue(self) -> float:
        """Return for how many seconds the present step should have ended; negative before that."""
        now = self._clock.monotonic()
        return max((now - end for end in self._running().values()), default=float("-inf"))

    def check(self) -> None:
        """Raise TimeLimitError RW576 once the present step should have ended."""
        if self.overdue() > 0:
            raise self.error()

    def error(self) -> TimeLimitError:
        """Return what is told of the limit that passed first."""
        limit = min(self._running().items(), key=lambda item: item[1])[0]
        steps = self._work.steps
        name = f"step {self._step + 1} of {len(steps)} ({steps[self._step].STEP_TYPE})"
        span = limit.last - limit.first + 1
        within = f"within {clock_text(limit.seconds)}"
        if span == 1:
            cause = f"{name} did not end {within}"
        else:
            cause = f"steps {limit.first + 1} to {limit.last + 1} did not end {within}: {name}"
            cause += " was under way"
        return TimeLimitError(
            "RW576",
            cause,
            "See the run's log for what it waited for; give it more time (`timeout`) or run it "
            "again",
        )

    def _running(self) -> dict[TimeLimit, float]:
        return {limit: end for limit, end in self._ends.items() if self._step <= limit.last}
