"""What ``rackwright status`` shows: the condition of the machines that were asked for."""

from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.app.machine_selection import MachineFilter, filtered
from reconciler.app.unattended_work import with_unattended
from reconciler.loop.candidates import limits
from reconciler.planning.conditions import (
    FleetStatus,
    MachineCondition,
    count_conditions,
    machine_conditions,
)
from reconciler.planning.estimate import budget_of
from reconciler.planning.plan import plan_of
from reconciler.planning.planner import history_of, plan_machines
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.app.project import Project
    from specs.fleet import CompiledFleet, CompiledMachine


def fleet_status(
    project: "Project", wanted: MachineFilter, conditions: tuple[str, ...], now: datetime
) -> FleetStatus:
    """Return the status of the machines that ``wanted`` means.

    ``conditions`` narrows down which of them are listed; empty lists all. Only machines
    that are asked for are planned.
    """
    fleet = project.fleet
    chosen = filtered(fleet, wanted)
    hardware = FleetHardware(fleet.machines.values())
    observed = project.observed_of([each.name for each in chosen], hardware, now)
    states = conditions_of(fleet, chosen, hardware, observed, now)
    folded = {each.casefold() for each in conditions}
    listed = (
        tuple(each for each in states if each.condition.casefold() in folded) if folded else states
    )
    of_machines = {f"machine/{name}" for name in fleet.machines}
    faults = tuple(each for each in observed.faults if each.subject not in of_machines)
    return FleetStatus(listed, count_conditions(states), observed.unknown_macs, faults)


def conditions_of(
    fleet: "CompiledFleet",
    machines: "Iterable[CompiledMachine]",
    hardware: FleetHardware,
    observed: Observed,
    now: datetime,
) -> tuple[MachineCondition, ...]:
    """Return the conditions of some machines of a fleet, given what was observed of it."""
    chosen = tuple(machines)
    history = history_of(hardware, observed.operations)
    items = tuple(plan_machines(fleet, chosen, hardware, observed, now, history))
    starting = (item for item in items if item.starts)
    made = plan_of(fleet.revision, now, starting, budget_of(fleet.settings))
    begins = with_unattended(made, observed).unattended
    waits_for = {
        op_id: str(limit)
        for op_id, limit in limits(fleet, observed, now, hardware).items()
        if limit is not None
    }
    return machine_conditions(fleet, chosen, observed, history, items, waits_for, begins, now)
