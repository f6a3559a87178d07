"""Time and chance, passed in so that tests run in virtual time."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import frozen


@frozen
class Clock:
    """What the agent may ask of time.

    ``monotonic`` returns seconds since some fixed moment, ``pause`` waits that many
    seconds, ``chance`` returns a number from 0 up to, not including, 1.
    """

    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


def local_time() -> datetime:
    """Return the time on this machine's own clock, with its offset from UTC."""
    return datetime.now(UTC).astimezone()
