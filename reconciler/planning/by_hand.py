"""What running a scenario by hand, or by a schedule, would do beside what is assigned. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from reconciler.planning.estimate import budget_of
from reconciler.planning.plan import Plan, plan_of, with_rollouts
from reconciler.planning.planner import plan_machines
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from reconciler.state.operation_states import ACTIVE
from specs.fleet import Assignment, CompiledFleet, CompiledMachine, CompiledScenario, Origin

MOST_WAITING = 100
"""Operations of one machine that may be under way: a longer queue is a mistake."""


def plan_by_hand(  # noqa: PLR0913, PLR0917 - what, on which machines, and what is known
    desired: CompiledFleet,
    machines: Iterable[CompiledMachine],
    scenario: CompiledScenario,
    run: str,
    hardware: FleetHardware,
    observed: Observed,
    now: datetime,
) -> Plan:
    """Return the plan of one scenario on some machines, as if it alone were assigned to them.

    The scenario need not be one of the fleet's. ``hardware`` is that of the whole fleet.

    A machine's work is one queue: what is under way there comes first, and keeps nothing
    from being approved after it.
    """
    desired = replace(desired, scenarios={**desired.scenarios, scenario.name: scenario})
    assignment = Assignment(scenario.name, run, Origin(scenario.position))
    chosen = [replace(machine, assignments=(assignment,)) for machine in machines]
    under_way = {each.operation.op_id for each in observed.operations if each.state in ACTIVE}
    queued = tuple(each for each in observed.operations if each.state not in ACTIVE)
    free = replace(observed, operations=queued)
    items = tuple(plan_machines(desired, chosen, hardware, free, now))
    # Where the disks are being looked at already, that has to end before more is known.
    looked_at = {
        each.machine for each in items if each.operation and each.operation.op_id in under_way
    }
    busy = [machine for machine in chosen if machine.name in looked_at]
    blocked = plan_machines(desired, busy, hardware, observed, now)
    items = (*(each for each in items if each.machine not in looked_at), *blocked)
    return with_rollouts(
        plan_of(desired.revision, now, items, budget_of(desired.settings)), desired
    )
