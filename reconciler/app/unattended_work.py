"""What of a plan begins without anybody's approval, for whatever says so to people."""

from dataclasses import replace

from reconciler.planning.approvals import ruled_as
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan
from reconciler.planning.unattended import may_take, unattended
from reconciler.planning.windows import is_in_window, windows_of
from reconciler.state.observed import Observed, ObservedMachine
from specs.fleet import CompiledFleet


def with_unattended(plan: Plan, observed: Observed, fleet: CompiledFleet) -> Plan:
    """Return the plan with what the server would begin of it by itself."""
    now = plan.made_at
    ruled = {each.risk for each in plan.requirements}

    def begins(item: PlanItem) -> bool:
        if ruled_as(item.risk) in ruled:
            return False
        seen = observed.machines.get(item.machine, ObservedMachine())
        windows = windows_of(fleet, fleet.machines[item.machine])
        return may_take(seen, now, in_window=is_in_window(windows, now))

    found = (item.operation for item in unattended(plan, begins))
    return replace(plan, unattended=frozenset(each.op_id for each in found if each))
