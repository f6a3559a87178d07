"""Waiting for a server that is away: exponential back-off with a cap and jitter."""

import logging
from collections.abc import Callable
from typing import TypeVar

from attrs import field, frozen

from agent.clock import Clock
from agent.errors import TransientError

T = TypeVar("T")
_log = logging.getLogger(__name__)


@frozen
class RetryPolicy:
    """How long to wait between tries, and for how long in all.

    ``first`` and ``cap`` are the first and the longest delay in seconds; ``limit``
    is the time after which the last error is raised, None for never.
    """

    first: float = 1.0
    cap: float = 60.0
    limit: float | None = field(default=None)

    def delay(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after that many failures in a row (at least 1).

        Half of it is fixed and half is chance, so that a rack whose server comes back
        does not call in one instant.
        """
        longest = min(self.cap, self.first * 2.0 ** min(failures - 1, 30))
        return longest * (0.5 + 0.5 * chance)


def retry(call: Callable[[], T], policy: RetryPolicy, clock: Clock) -> T:
    """Return what ``call`` returns, trying again for as long as it fails transiently.

    Raises the last TransientError once ``policy.limit`` is used up; every other
    exception passes at once.
    """
    began = clock.monotonic()
    failures = 0
    while True:
        try:
            return call()
        except TransientError as error:
            failures += 1
            delay = policy.delay(failures, clock.chance())
            waited = clock.monotonic() - began
            if policy.limit is not None and waited + delay > policy.limit:
                raise
            _log.warning("%s failures=%d retry_in=%.1fs", error.cause, failures, delay)
            clock.pause(delay)
