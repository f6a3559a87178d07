"""One word and one reason per machine, for ``status``. Pure."""

from dataclasses import dataclass
from datetime import datetime

from reconciler.ledger.operation import OperationStatus
from reconciler.ledger.states import ACTIVE, OperationState
from reconciler.observed import Observed, ObservedMachine
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import Plan
from specs.compiled import CompiledFleet


@dataclass(frozen=True, slots=True)
class MachineState:
    """A machine's condition: ``Ready``, ``Reconciling``, ``Stalled`` or ``Unknown``, and why."""

    machine: str
    group: str
    condition: str
    reason: str
    run: str
    """The newest assignment as ``scenario run``."""
    last_seen: datetime | None


def machine_states(
    desired: CompiledFleet, observed: Observed, plan: Plan
) -> tuple[MachineState, ...]:
    """Return the state of every machine, in the order of names."""
    pending: dict[str, PlanItem] = {}
    for item in plan.items:
        pending.setdefault(item.machine, item)
    running = {
        status.operation.machine: status for status in observed.operations if status.state in ACTIVE
    }
    states = []
    for machine in desired.machines.values():
        seen = observed.machines.get(machine.name, ObservedMachine())
        condition, reason = _condition(
            machine.name, pending.get(machine.name), running.get(machine.name), seen, observed
        )
        newest = machine.assignments[-1] if machine.assignments else None
        states.append(
            MachineState(
                machine=machine.name,
                group=machine.group,
                condition=condition,
                reason=reason,
                run=f"{newest.scenario} {newest.run}" if newest else "",
                last_seen=seen.last_seen,
            )
        )
    return tuple(states)


def _condition(
    name: str,
    item: PlanItem | None,
    running: OperationStatus | None,
    seen: ObservedMachine,
    observed: Observed,
) -> tuple[str, str]:
    if running is not None:
        return "Reconciling", f"{running.operation.kind}: {running.state}"
    if item is None:
        return "Ready", _ready(name, seen, observed)
    if item.risk is Risk.UNKNOWN:
        return "Unknown", item.reason
    if item.risk is Risk.BLOCKED:
        return "Stalled", item.reason
    return "Reconciling", f"waits for approval: {item.reason}"


def _ready(name: str, seen: ObservedMachine, observed: Observed) -> str:
    system = seen.installed.installed if seen.installed else None
    if system is not None:
        return f"{system.hostname}, {system.os}, machine-id {system.machine_id[:8]}"
    done = [
        status
        for status in observed.operations
        if status.operation.machine == name and status.state is OperationState.VERIFIED
    ]
    if done:
        newest = done[-1].operation
        return f"{newest.scenario} run {newest.run} is verified"
    return "nothing is asked of it"
