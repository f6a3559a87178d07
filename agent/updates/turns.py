"""What a session asks of updates. The RAM system has none, and loads no more of them than this."""

from typing import Protocol


class SelfUpdates(Protocol):
    """Updates that have a turn between two questions for work."""

    @property
    def is_busy(self) -> bool:
        """Return whether an installer may be running."""

    def told(self, orders: str) -> None:
        """Take notice of the digest of the server's orders; empty from one that gives none."""

    def seconds_left(self) -> float:
        """Return after how many seconds at most ``turn`` has to be called again."""

    def turn(self) -> bool:
        """Do what is due; return whether the machine restarts. Raises nothing."""

    def close(self) -> None:
        """Stop what can be stopped, and wait for it."""


class NoUpdates:
    """Of an agent that installs nothing by itself."""

    is_busy = False

    def told(self, orders: str) -> None:
        """Nothing."""

    def seconds_left(self) -> float:
        """Return that no turn is needed."""
        return float("inf")

    def turn(self) -> bool:
        """Return that the session goes on."""
        return False

    def close(self) -> None:
        """Nothing."""
