"""Progress in words that fit one line of a machine's screen."""

import threading
from collections import deque

from agent.clock import Clock

_WINDOW_SECONDS = 15.0
_LINE_SECONDS = 5.0  # a screen has some fifty lines, and errors must not scroll away
_MEBI = 1024 * 1024


def progress_line(name: str, done: int, total: int, bytes_per_second: float) -> str:
    """Return ``restore 43.1 % 1204/2794 MiB 112.0 MB/s ETA 0:00:14``.

    ``done`` and ``total`` are bytes; the rate is shown in MB (10^6) per second as disks
    and networks are sold. Without a total or a rate the parts that need it are left out.
    """
    parts = [name]
    if total > 0:
        parts.append(f"{min(100.0, 100.0 * done / total):.1f} %")
        parts.append(f"{done // _MEBI}/{total // _MEBI} MiB")
    elif done:
        parts.append(f"{done // _MEBI} MiB")
    if bytes_per_second > 0:
        parts.append(f"{bytes_per_second / 1e6:.1f} MB/s")
        if total > done:
            parts.append(f"ETA {clock_text((total - done) / bytes_per_second)}")
    return " ".join(parts)


def clock_text(seconds: float) -> str:
    """Return ``1:05:09`` for so many seconds."""
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


class ProgressMeter:
    """Turns byte counts into a line every five seconds, with the rate of the last fifteen.

    Counts may come from any thread, whichever finished a chunk.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, int]] = deque()
        self._last = float("-inf")
        self._finished = False

    def advance(self, done: int, total: int) -> str | None:
        """Return the line to show now, None where one was shown just before."""
        with self._lock:
            now = self._clock.monotonic()
            finished = total > 0 and done >= total
            if now - self._last < _LINE_SECONDS and (not finished or self._finished):
                return None
            self._last, self._finished = now, finished
            self._samples.append((now, done))
            while now - self._samples[0][0] > _WINDOW_SECONDS:
                self._samples.popleft()
            began, before = self._samples[0]
            rate = (done - before) / (now - began) if now > began else 0.0
            return progress_line(self._name, done, total, rate)
