"""Keeping a transfer below a rate. Pure: the caller has the clock and waits."""


class Pace:
    """Says how long to wait so that a transfer stays below ``bytes_per_second``.

    None: there is no bound. What was not used while nothing was transferred is not made up
    for, so that no burst follows a pause.
    """

    def __init__(self, bytes_per_second: float | None) -> None:
        self._rate = bytes_per_second
        self._free_at = float("-inf")

    def pause(self, size: int, now: float) -> float:
        """Return the seconds to wait after ``size`` bytes that came in by ``now`` (monotonic)."""
        if self._rate is None:
            return 0.0
        self._free_at = max(self._free_at, now) + size / self._rate
        return self._free_at - now
