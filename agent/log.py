"""The agent's log: one line for each record, on the screen and kept for the server."""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_KEPT_FIRST = 64 << 10
_KEPT_LAST = 256 << 10


class LineFormatter(logging.Formatter):
    """``[   12.345] INFO agent.enroll: enrolled machine=node-0713``.

    The stamp is the kernel's (CLOCK_MONOTONIC), so that lines can be read beside the
    kernel's own. Whatever a message contains stays on its line: control characters,
    which could come from a server or a disk's model name, are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text} | {self.formatException(record.exc_info)}"
        safe = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
        return f"[{time.monotonic():12.3f}] {record.levelname} {record.name}: {safe}"


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send the agent's log to standard error.

    In the Deploy-OS that is every console of the machine (its init joins them), in an
    installed system the journal.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # urllib3 announces each quick retry; the agent says once what it waits for.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


class LogMemory(logging.Handler):
    """Keeps the first and the last lines of one agent's log.

    ``belongs`` says which threads are that agent's: one process has many simulated machines.
    """

    def __init__(self, belongs: Callable[[str], bool] = lambda _: True) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self._belongs = belongs
        self._first: list[str] = []
        self._first_room = _KEPT_FIRST
        self._last: deque[str] = deque()
        self._last_room = _KEPT_LAST
        self._dropped = 0
        self._lines = threading.Lock()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Keep what is logged meanwhile."""
        root = logging.getLogger()
        root.addHandler(self)
        try:
            yield
        finally:
            root.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        if not self._belongs(record.threadName or ""):
            return
        line = self.format(record)
        with self._lines:
            if self._first_room > 0:
                self._first.append(line)
                self._first_room -= len(line)
                return
            self._last.append(line)
            self._last_room -= len(line)
            while self._last_room < 0:
                self._last_room += len(self._last.popleft())
                self._dropped += 1

    def text(self) -> str:
        """Return the lines; a mark stands for those that were dropped."""
        with self._lines:
            mark = [f"[... {self._dropped} lines left out here ...]"] if self._dropped else []
            return "".join(f"{line}\n" for line in (*self._first, *mark, *self._last))
