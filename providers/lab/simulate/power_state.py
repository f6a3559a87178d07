"""The power of one machine while it is on: what ends everything that runs on it."""

import threading
import time
from collections.abc import Callable

from attrs import define, field

from agent.clock import Clock


class PowerCutError(BaseException):
    """The power is gone. Not an Exception, so that no agent can catch it and go on."""


@define
class PowerState:
    """From switching on to off. It is an agent's ``Power``: both verbs return at once.

    ``chance`` returns numbers from 0 up to 1.
    """

    chance: Callable[[], float]
    cut: threading.Event = field(factory=threading.Event)
    restarts: bool = False
    """Whether what ran last asked for a restart."""

    def clock(self) -> Clock:
        """Return the time as programs on this machine see it: it ends with the power."""
        return Clock(self._monotonic, self.pause, self.chance)

    def reboot(self) -> None:
        """Ask for a restart."""
        self.restarts = True

    def poweroff(self) -> None:
        """Ask to be switched off."""
        self.restarts = False

    def check(self) -> None:
        """Raise PowerCutError when the power is gone."""
        if self.cut.is_set():
            raise PowerCutError

    def pause(self, seconds: float | None = None) -> None:
        """Wait so long, None for ever; raises PowerCutError when the power goes."""
        if self.cut.wait(seconds):
            raise PowerCutError

    def _monotonic(self) -> float:
        self.check()
        return time.monotonic()
