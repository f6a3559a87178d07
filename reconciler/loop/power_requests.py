"""What agents of installed systems are asked to do about power, until they claim it."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

SystemAction = Literal["poweroff", "reboot"]


class PowerRequest(NamedTuple):
    """One machine shall shut down or restart in an orderly way."""

    name: str
    """Tells it from others; a machine is asked once for each name."""
    action: SystemAction
    begin: Callable[[], bool]
    """Writes down that the agent begins; False where it may not any more."""
    closes: datetime
    """Until when it has to have happened."""


_STAMP = "%Y%m%dT%H%M%S"


def request_name(schedule: str, moment: datetime) -> str:
    """Return what the request of a schedule's moment is called."""
    return f"{schedule}-{moment:{_STAMP}}Z"


def occurrence_of(name: str) -> tuple[str, datetime] | None:
    """Return the schedule and the moment of a request; None where the name is none of ours."""
    schedule, _, stamp = name.rpartition("-")
    try:
        return schedule, datetime.strptime(stamp, f"{_STAMP}%z")
    except ValueError:
        return None


class PowerRequests:
    """At most one for each machine. All calls come from one event loop's thread."""

    def __init__(self) -> None:
        self._wanted: dict[str, PowerRequest] = {}

    def put(self, machine: str, request: PowerRequest) -> None:
        """Have the machine's agent asked, instead of what it would have been asked before."""
        self._wanted[machine] = request

    def take_back(self, machine: str) -> None:
        """Ask for nothing."""
        self._wanted.pop(machine, None)

    def clear(self) -> None:
        """Ask nobody for anything."""
        self._wanted.clear()

    def wanted(self, machine: str) -> PowerRequest | None:
        """Return what the machine's agent is to be asked."""
        return self._wanted.get(machine)

    def claim(self, machine: str, name: str) -> bool:
        """Let an agent begin, once."""
        request = self._wanted.get(machine)
        if request is None or request.name != name:
            return False
        del self._wanted[machine]
        return request.begin()
