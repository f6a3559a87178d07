"""Starting machines: the driver that each one's document names, at a patient pace."""

from datetime import datetime, timedelta

import structlog

from agent.errors import CodedError
from providers.power.driver import PowerDriver
from providers.power.manual import ManualPower
from providers.power.wake_on_lan import WakeOnLan
from reconciler.server.local_interface import LocalInterface
from reconciler.state.operation import OperationStatus
from specs.fleet import CompiledMachine

WAKE_INTERVAL = timedelta(seconds=20)
"""A NIC whose link still negotiates misses the packet, so it is sent again and again."""

log = structlog.get_logger(__name__)


class Power:
    """Sends wake-ups; remembers when, so that a machine is not asked at every tick."""

    def __init__(self, place: LocalInterface) -> None:
        self._place = place
        self._last: dict[tuple[str, int], datetime] = {}

    def wake(self, machine: CompiledMachine, status: OperationStatus, now: datetime) -> None:
        """Ask the machine to start, unless it was asked just now."""
        key = (status.operation.op_id, status.attempt)
        last = self._last.get(key)
        if last is not None and now - last < WAKE_INTERVAL:
            return
        self._last[key] = now
        try:
            self._driver(machine).power_on()
        except CodedError as error:
            log.warning("not started", machine=machine.name, code=error.code, cause=error.cause)
        else:
            log.info("asked to start", machine=machine.name, driver=machine.power_driver)

    def _driver(self, machine: CompiledMachine) -> PowerDriver:
        if machine.power_driver == "manual":
            return ManualPower(machine.name)
        return WakeOnLan(machine.name, machine.macs, self._place.broadcast, self._place.name)
