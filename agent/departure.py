"""Leaving a machine alone after a failure: the cause on its screen, a delay, keys."""

import logging
import threading
from typing import Protocol

from agent.after_failure import Failure
from agent.clock import Clock
from agent.errors import TerminalError
from agent.power import Power, leave

_log = logging.getLogger(__name__)

_REMINDER_SECONDS = 60.0


class Keys(Protocol):
    """The keys at the machine."""

    def wait(self, stop: threading.Event) -> str:
        """Return ``p`` or ``r`` once one is pressed; empty once ``stop`` is set."""


class NoKeys:
    """A machine without a console."""

    def wait(self, stop: threading.Event) -> str:
        """Return at once: nobody can press a key."""
        del stop
        return ""


class Departure:
    """What the machine does after a failure, once a delay has passed or a key was pressed.

    The cause is shown at once and then every minute. Keys work from a thread of its own.
    """

    def __init__(self, failure: Failure, power: Power, keys: Keys, clock: Clock) -> None:
        self.failure = failure
        self._power = power
        self._keys = keys
        self._clock = clock
        now = clock.monotonic()
        stays = failure.move == "stay"
        self._at = float("inf") if stays else now + failure.on_error.delay
        self._shown = now
        self._called_off = threading.Event()
        self._key_ended = threading.Event()
        self._show(now)
        name = f"{threading.current_thread().name} keys"
        threading.Thread(target=self._heed_keys, name=name, daemon=True).start()

    def seconds_left(self) -> float:
        """Return how long the machine still stays; infinite where it does for good."""
        return max(0.0, self._at - self._clock.monotonic())

    def is_over(self) -> bool:
        """Restart or switch off if it is time; return whether that or a key has done it."""
        now = self._clock.monotonic()
        if self._key_ended.is_set():
            return True
        if now >= self._at:
            self.call_off()
            return leave(self._power, "reboot" if self.failure.move == "restart" else "poweroff")
        if now - self._shown >= _REMINDER_SECONDS:
            self._show(now)
        return False

    def call_off(self) -> None:
        """Let the machine stay, and heed no key any more."""
        self._called_off.set()

    def _show(self, now: float) -> None:
        self._shown = now
        _log.error("STOPPED %s", self.failure.cause)
        _log.error("NEXT %s", self.failure.next_words(max(0.0, self._at - now)))

    def _heed_keys(self) -> None:
        key = self._keys.wait(self._called_off)
        if not key or self._called_off.is_set():
            return
        _log.warning("the key %s was pressed", key)
        try:
            leave(self._power, "poweroff" if key == "p" else "reboot")
        except TerminalError as error:
            _log.error("%s", error)
        else:
            self._key_ended.set()
