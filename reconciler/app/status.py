"""What ``rackwright status`` shows: the condition of the machines that were asked for."""

from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.app.machine_selection import MachineFilter, filtered
from reconciler.loop.candidates import limits
from reconciler.planning.conditions import (
    FleetStatus,
    MachineCondition,
    count_conditions,
    machine_conditions,
)
from reconciler.planning.planner import history_of, plan_machines
from reconciler.state.faults import without_room
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
    faults += without_room(project.state, now)
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
    items = plan_machines(fleet, chosen, hardware, observed, now, history)
    waits_for = {
        op_id: str(limit)
        for op_id, limit in limits(fleet, observed, now, hardware).items()
        if limit is not None
    }
    return machine_conditions(fleet, chosen, observed, history, items, waits_for)
