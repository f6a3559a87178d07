"""What approved work waits for, seen from outside the server: for ``status``. Pure."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

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

    Work of one machine is done in its turn: what is not next waits for what is. Whatever may
    begin counts for what follows it, in the order of approval; where one budget is full,
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
    queues = [_queue(fleet, observed, *each, now) for each in of_machine.items()]
    found = {op_id: why for queue in queues for op_id, why in queue.waits.items()}
    nexts = [queue.head for queue in queues if queue.is_free and queue.head is not None]
    for status in sorted(nexts, key=lambda each: each.at):
        operation = status.operation
        name = hardware.owner(operation.identities) or operation.hardware
        seen = observed.machines.get(name, ObservedMachine())
        work = counted(fleet, hardware, operation, impact_of(operation, seen))
        limit = open_breaker(open_ones, work) or tracker.limit(work, now)
        if limit is None:
            tracker.begin(operation.op_id, work, now)
        found[operation.op_id] = str(limit or "")
    for queue in queues:
        if queue.head is not None and queue.later:
            before = queue.head.operation
            why = found.get(before.op_id)
            said = f"{before.scenario} run {before.run} on this machine"
            said += f", which waits for {why}" if why else ""
            found |= dict.fromkeys(queue.later, said)
    return found


class _Queue(NamedTuple):
    """The work of one machine."""

    head: "OperationStatus | None"
    """What is at work, else what comes next."""
    waits: dict[str, str]
    """By operation, what it waits for whatever budgets say."""
    later: tuple[str, ...]
    """The operations that wait for the head."""
    is_free: bool
    """Whether nothing but budgets keeps the head from beginning."""


def _queue(
    fleet: CompiledFleet,
    observed: Observed,
    name: str,
    statuses: "list[OperationStatus]",
    now: datetime,
) -> _Queue:
    seen = observed.machines.get(name, ObservedMachine())
    waits: dict[str, str] = {}
    turn = []
    for status in queue_order(statuses, seen, now, observed.held):
        op_id = status.operation.op_id
        why = observed.held.get(op_id) or waits_to_start(status, seen, now)
        if status.state is OperationState.APPROVED and why:
            waits[op_id] = why
        else:
            turn.append(status)
    at_work = next((each for each in turn if each.state in AT_WORK), None)
    head = at_work or next(iter(turn), None)
    later = tuple(each.operation.op_id for each in turn if each is not head)
    if head is None or at_work is not None or seen.quarantine:
        return _Queue(head, waits, later, is_free=False)
    shut = _shut(fleet, observed, name, head, now)
    if not shut and observed.store_problem and head.operation.needs_images:
        shut = "the image store, which is away"
    if shut:
        waits[head.operation.op_id] = shut
    return _Queue(head, waits, later, is_free=not shut)


def _shut(
    fleet: CompiledFleet, observed: Observed, name: str, status: "OperationStatus", now: datetime
) -> str:
    """Return for which window of a machine an operation waits, as a clause; empty for none."""
    machine = fleet.machines.get(name)
    if machine is None:
        return ""
    seconds = work_seconds(status.operation.instructions.steps, observed.images)
    shut = closed(windows_of(fleet, machine), now, timedelta(seconds=seconds))
    return f"a window: {shut.reason}" if shut is not None else ""
