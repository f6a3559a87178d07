"""How often one kind of line may be logged: a storm must not fill a disk."""

import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from agent.errors import one_line

INTERVAL = 10.0
_KEYS = 1024

log = structlog.get_logger(__name__)


class LogRate:
    """Lets one line per key through in each interval and counts those kept back.

    It remembers the ``keys`` keys that came last. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
        keys: int = _KEYS,
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._keys = keys
        self._last: OrderedDict[object, tuple[float, int]] = OrderedDict()

    def admit(self, key: object) -> int | None:
        """Return None if the line is to be kept back, else how many were since the last one."""
        now = self._clock()
        logged_at, kept = self._last.get(key, (now - self._interval, 0))
        if now - logged_at < self._interval:
            self._last[key] = (logged_at, kept + 1)
            return None
        self._last[key] = (now, 0)
        self._last.move_to_end(key)
        if len(self._last) > self._keys:
            self._last.popitem(last=False)
        return kept


class FailureLog:
    """Failures that end with the packet that caused them.

    One line per event and type of error in each interval; the traceback is for debugging.
    """

    def __init__(self) -> None:
        self._rate = LogRate()

    def report(self, event: str, error: BaseException, **details: object) -> None:
        """Log one failure."""
        kept = self._rate.admit((event, type(error)))
        if kept is not None:
            log.error(event, reason=one_line(error), not_logged=kept, **details)
        log.debug(event, exc_info=error, **details)
