"""What a schedule has to do on one machine at one of its moments, and what comes of it."""

from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.state.schedule_history import MachineState

LATER = timedelta(seconds=30)
"""Between looks at a machine that has to wait."""

JobKey = tuple[str, datetime, str]
"""A schedule, a moment and a machine."""


class Job(NamedTuple):
    """One machine's part of an occurrence; the order is that in which they are due."""

    due: datetime
    schedule: str
    moment: datetime
    machine: str
    begins: datetime
    """When it was first due."""
    closes: datetime
    """When its window is over."""

    @property
    def occurrence(self) -> tuple[str, datetime]:
        """Return what it is a part of."""
        return self.schedule, self.moment

    @property
    def key(self) -> JobKey:
        """Return what tells it from all others, whenever it is due."""
        return self.schedule, self.moment, self.machine


class Wait(NamedTuple):
    """The machine has to wait."""

    reason: str
    """As a clause for people; empty where nothing new is to be said."""
    until: datetime


class Over(NamedTuple):
    """Nothing more of this occurrence follows on the machine."""

    state: MachineState
    reason: str
    op_id: str = ""
