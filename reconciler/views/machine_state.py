"""One word and one reason per machine, for ``status``. Pure."""

from datetime import datetime
from typing import NamedTuple

from reconciler.loop.candidates import limits
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import Plan
from reconciler.planning.renames import renames
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed, ObservedMachine
from reconciler.state.operation import Operation, OperationStatus
from reconciler.state.operation_states import ACTIVE, OperationState
from specs.fleet import CompiledFleet


class MachineState(NamedTuple):
    """A machine's condition: ``Ready``, ``Reconciling``, ``Stalled`` or ``Unknown``, and why."""

    machine: str
    group: str
    condition: str
    reason: str
    run: str
    """The newest assignment as ``scenario run``."""
    last_seen: datetime | None
    display_name: str = ""
    group_display_name: str = ""
    scenario_display_name: str = ""


def machine_states(
    desired: CompiledFleet, observed: Observed, plan: Plan
) -> tuple[MachineState, ...]:
    """Return the state of every machine, in the order of names.

    The reason of a renamed machine says so, until something is heard under its new name.
    What waits for a budget names it.
    """
    pending: dict[str, PlanItem] = {}
    for item in plan.items:
        pending.setdefault(item.machine, item)
    hardware = FleetHardware(desired.machines.values())
    running: dict[str, OperationStatus] = {}
    verified: dict[str, Operation] = {}
    for status in observed.operations:
        owner = hardware.owner(status.operation.identities)
        if owner is not None and status.state in ACTIVE:
            running[owner] = status
        elif owner is not None and status.state is OperationState.VERIFIED:
            verified[owner] = status.operation
    waiting = limits(desired, observed, plan.made_at, hardware)
    before = {rename.after: rename.before for rename in renames(desired, observed)}
    states = []
    for machine in desired.machines.values():
        seen = observed.machines.get(machine.name, ObservedMachine())
        present = running.get(machine.name)
        condition, reason = _condition(
            pending.get(machine.name), present, seen, verified.get(machine.name)
        )
        limit = waiting.get(present.operation.op_id) if present is not None else None
        if limit is not None:
            reason = f"{reason}, waits for {limit}"
        if machine.name in before:
            reason = f"renamed from {before[machine.name]}; {reason}"
        newest = machine.assignments[-1] if machine.assignments else None
        states.append(
            MachineState(
                machine=machine.name,
                group=machine.group,
                condition=condition,
                reason=reason,
                run=f"{newest.scenario} {newest.run}" if newest else "",
                last_seen=seen.last_seen,
                display_name=machine.display_name,
                group_display_name=desired.group_display_names.get(machine.group, ""),
                scenario_display_name=desired.scenarios[newest.scenario].display_name
                if newest
                else "",
            )
        )
    return tuple(states)


def _condition(
    item: PlanItem | None,
    running: OperationStatus | None,
    seen: ObservedMachine,
    verified: Operation | None,
) -> tuple[str, str]:
    if running is not None:
        return "Reconciling", f"{running.operation.kind}: {running.state}"
    if item is None:
        return "Ready", _ready(seen, verified)
    if item.risk is Risk.UNKNOWN:
        return "Unknown", item.reason
    if item.risk is Risk.BLOCKED:
        return "Stalled", item.reason
    return "Reconciling", f"waits for approval: {item.reason}"


def _ready(seen: ObservedMachine, verified: Operation | None) -> str:
    system = seen.installed.installed if seen.installed else None
    if system is not None:
        return f"{system.hostname}, {system.os}, machine-id {system.machine_id[:8]}"
    if verified is not None:
        return f"{verified.scenario} run {verified.run} is verified"
    return "nothing is asked of it"
