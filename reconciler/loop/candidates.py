"""What approved work waits for, seen from outside the server: for ``status``. Pure."""

from datetime import datetime

from reconciler.loop.budgets import Limit, counted, tracker_of
from reconciler.loop.decide import impact_of
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed, ObservedMachine
from reconciler.state.operation_states import AT_WORK, OperationState
from specs.fleet import CompiledFleet


def limits(
    fleet: CompiledFleet, observed: Observed, now: datetime, hardware: FleetHardware
) -> dict[str, Limit | None]:
    """Return by op_id what the next approved operation of each free machine waits for.

    None: it may begin. Whatever may begin counts for those after it, in the order of their
    approval; where one budget is full, machines that it does not concern go on.
    """
    tracker = tracker_of(fleet, hardware, observed.work_begun, now)

    def name_of(identities: tuple[str, ...], fallback: str) -> str:
        return hardware.owner(identities) or fallback

    taken = {
        name_of(status.operation.identities, status.operation.hardware)
        for status in observed.operations
        if status.state in AT_WORK
    }
    found: dict[str, Limit | None] = {}
    for status in observed.operations:
        operation = status.operation
        machine = name_of(operation.identities, operation.hardware)
        seen = observed.machines.get(machine, ObservedMachine())
        if status.state is not OperationState.APPROVED or machine in taken or seen.quarantine:
            continue
        work = counted(fleet, hardware, operation, impact_of(operation, seen))
        limit = tracker.limit(work, now)
        if limit is None:
            tracker.begin(operation.op_id, work, now)
        taken.add(machine)  # its work is one queue: what was approved later waits for this
        found[operation.op_id] = limit
    return found
