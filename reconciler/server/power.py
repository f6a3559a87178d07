"""Starting machines: the driver that each one's document names, at a patient pace."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from agent.errors import CodedError
from providers.power import manual, wake_on_lan
from reconciler.server.local_interface import LocalInterface
from reconciler.state.operation import OperationStatus
from specs.fleet import CompiledMachine

_PACE = timedelta(seconds=5)
"""No machine is asked twice within this long, however often it is looked at."""

log = structlog.get_logger(__name__)


class Power:
    """Sends wake-ups; remembers when, so that no machine is asked more often than is of use."""

    def __init__(self, place: LocalInterface, clock: Callable[[], datetime]) -> None:
        self._place = place
        self._clock = clock
        self._last: dict[str, tuple[str, int, datetime]] = {}
        """By machine, the operation, attempt and time of the last wake-up."""

    def start(self, machine: CompiledMachine) -> None:
        """Ask the machine to start, now. CodedError where that is not possible."""
        self._power_on(machine)
        log.info("asked to start", machine=machine.name, driver=machine.power_driver)

    def wake(self, machine: CompiledMachine, status: OperationStatus) -> None:
        """Ask the machine to start, unless it was asked just now."""
        now, attempt = self._clock(), (status.operation.op_id, status.attempt)
        last = self._last.get(machine.name)
        if last is not None and last[:2] == attempt and abs(now - last[2]) < _PACE:
            return
        self._last[machine.name] = (*attempt, now)
        try:
            self._power_on(machine)
        except CodedError as error:
            log.warning("not started", machine=machine.name, code=error.code, cause=error.cause)
        else:
            log.info("asked to start", machine=machine.name, driver=machine.power_driver)

    def _power_on(self, machine: CompiledMachine) -> None:
        if machine.power_driver == "manual":
            manual.power_on(machine.name)
        wake_on_lan.power_on(machine.macs, self._place.broadcast, self._place.name)
