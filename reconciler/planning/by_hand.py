"""What running a scenario by hand would do, beside whatever is assigned to the machines. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from reconciler.planning.estimate import budget_of
from reconciler.planning.plan import Plan, plan_of
from reconciler.planning.planner import plan_machines
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from reconciler.state.operation_states import ACTIVE
from specs.fleet import Assignment, CompiledFleet, CompiledMachine, CompiledScenario, Origin

if TYPE_CHECKING:
    from reconciler.planning.item import PlanItem


def plan_by_hand(  # noqa: PLR0913, PLR0917 - what, on which machines, and what is known
    desired: CompiledFleet,
    machines: Iterable[CompiledMachine],
    scenario: CompiledScenario,
    run: str,
    observed: Observed,
    now: datetime,
) -> Plan:
    """Return the plan of one scenario on some machines, as if it alone were assigned to them.

    A machine's work is one queue: what is under way there comes first, and keeps nothing
    from being approved after it.
    """
    hardware = FleetHardware(desired.machines.values())
    assignment = Assignment(scenario.name, run, Origin(scenario.position))
    chosen = [replace(machine, assignments=(assignment,)) for machine in machines]
    queued = tuple(each for each in observed.operations if each.state not in ACTIVE)
    free = replace(observed, operations=queued)
    under_way = {each.operation.op_id for each in observed.operations if each.state in ACTIVE}

    def planned(machine: CompiledMachine) -> "Iterator[PlanItem]":
        found = tuple(plan_machines(desired, [machine], hardware, free, now))
        if any(each.operation and each.operation.op_id in under_way for each in found):
            # Its disks are being looked at already: that has to end before more is known.
            return plan_machines(desired, [machine], hardware, observed, now)
        return iter(found)

    items = chain.from_iterable(map(planned, chosen))
    return plan_of(desired.revision, now, items, budget_of(desired.settings))
