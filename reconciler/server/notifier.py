"""Telling whoever waits for news of one machine, and nobody else."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Notifier:
    """Signals by key. Used in one event loop's thread."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}

    def signal(self, key: str) -> None:
        """Set the events of all who listen to the key."""
        for event in self._listeners.get(key, ()):
            event.set()

    @contextmanager
    def listening(self, key: str) -> Iterator[asyncio.Event]:
        """Yield an event that every signal of the key sets while the context lasts."""
        event = asyncio.Event()
        self._listeners.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            listeners = self._listeners[key]
            listeners.discard(event)
            if not listeners:
                del self._listeners[key]
