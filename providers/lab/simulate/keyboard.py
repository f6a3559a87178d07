"""The keyboard of a simulated machine."""

import queue
import threading

_LOOK_SECONDS = 0.2


class Keyboard:
    """Keys are pressed from one thread and heard by the machine's own."""

    def __init__(self) -> None:
        self._keys: queue.SimpleQueue[str] = queue.SimpleQueue()

    def press(self, key: str) -> None:
        """Press a key."""
        self._keys.put(key)

    def wait(self, stop: threading.Event) -> str:
        """Return the next key; empty once ``stop`` is set."""
        while not stop.is_set():
            try:
                return self._keys.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
        return ""
