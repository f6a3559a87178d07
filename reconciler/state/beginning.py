"""When an operation that budgets count began, and on which hardware."""

from datetime import datetime
from typing import NamedTuple

ITS_TURN = "its turn came"
INTERRUPTS = "its turn came; the system that may be running there is interrupted"
"""Reasons of the line that arms an operation for the first time.

Whether a system is interrupted is decided in that moment and stands nowhere else: the
ledger finds the beginnings of disruptive work by this very text.
"""


class Beginning(NamedTuple):
    """The first arming of an operation that overwrites a disk or interrupts a system."""

    op_id: str
    at: datetime
    destructive: bool
    """Else it is disruptive."""
    hardware: str
    identities: tuple[str, ...]
    """All that the hardware was known by when the operation was planned."""
