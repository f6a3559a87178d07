"""What approved work waits for, seen from outside the server: for ``status``. Pure."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.loop.budgets import counted, open_breaker, tracker_of
from reconciler.loop.decide import impact_of, queue_order, waits_to_start
from reconciler.planning.estimate import work_seconds
from reconciler.planning.windows import closed, windows_of
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed, ObservedMachine
from reconciler.state.operation_states import ACTIVE, AT_WORK, OperationState
from specs.fleet import CompiledFleet

if TYPE_CHECKING:
    from reconciler.state.operation import OperationStatus


def waits_for(
    fleet: CompiledFleet, observed: Observed, now: datetime, hardware: FleetHardware
) -> dict[str, str]:
    """Return by op_id what approved work waits for, as a clause; empty where it may begin.

    Of the work of one machine the next is named, and all that waits for its time. Whatever
    may begin counts for what follows it, in the order of approval; where one budget is full,
    machines that it does not concern go on.
    """
    tracker = tracker_of(fleet, hardware, observed.work_begun, now)
    open_ones = {each.group: each for each in observed.breakers}
    of_machine: dict[str, list[OperationStatus]] = {}
    for status in observed.operations:
        if status.state in ACTIVE:
            operation = status.operation
            name = hardware.owner(operation.identities) or operation.hardware
            of_machine.setdefault(name, []).append(status)
    found: dict[str, str] = {}
    nexts = []
    for name, statuses in of_machine.items():
        seen = observed.machines.get(name, ObservedMachine())
        free = not seen.quarantine and not any(each.state in AT_WORK for each in statuses)
        for status in queue_order(statuses, seen, now):
            waits = status.state is OperationState.APPROVED and waits_to_start(status, seen, now)
            if waits:
                found[status.operation.op_id] = waits
            elif free and (held := _held(fleet, observed, name, status, now)):
                found[status.operation.op_id] = held
                free = False
            elif free:
                nexts.append((status, seen))
                free = False  # what was approved later waits for this
    for status, seen in sorted(nexts, key=lambda each: each[0].at):
        operation = status.operation
        work = counted(fleet, hardware, operation, impact_of(operation, seen))
        limit = open_breaker(open_ones, work) or tracker.limit(work, now)
        if limit is None:
            tracker.begin(operation.op_id, work, now)
        found[operation.op_id] = str(limit or "")
    return found


def _held(
    fleet: CompiledFleet, observed: Observed, name: str, status: "OperationStatus", now: datetime
) -> str:
    """Return what a machine's operation waits for besides budgets, as a clause; empty for nothing.

    Its wave of a rollout, then the machine's windows.
    """
    operation, machine = status.operation, fleet.machines.get(name)
    held = observed.held.get(operation.op_id, "")
    if held or machine is None:
        return held
    seconds = work_seconds(operation.instructions.steps, observed.images)
    shut = closed(windows_of(fleet, machine), now, timedelta(seconds=seconds))
    return f"a window: {shut.reason}" if shut is not None else ""
