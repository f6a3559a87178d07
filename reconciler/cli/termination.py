"""SIGTERM ends a command as Ctrl-C does, so that it cleans up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt for the block."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
