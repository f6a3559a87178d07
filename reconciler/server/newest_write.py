"""Writes that may hang, beside the event loop: of those that wait, the newest is carried out."""

import threading
from collections.abc import Callable

import structlog

from agent.errors import CodedError, one_line

log = structlog.get_logger(__name__)


class NewestWrite:
    """Carries out one write at a time, in a thread that does not keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._waiting: Callable[[], None] | None = None
        self._is_writing = False

    def __call__(self, write: Callable[[], None]) -> None:
        """Have a write carried out soon, in place of one that still waits."""
        with self._lock:
            self._waiting = write
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                write, self._waiting = self._waiting, None
                if write is None:
                    self._is_writing = False
                    return
            try:
                write()
            except (CodedError, OSError) as error:
                log.warning("not written", what=self._name, cause=one_line(error))
