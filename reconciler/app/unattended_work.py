"""What of a plan begins without anybody's approval, for whatever says so to people."""

from dataclasses import replace

from reconciler.loop.approval import unattended
from reconciler.planning.plan import Plan
from reconciler.state.observed import Observed


def with_unattended(plan: Plan, observed: Observed) -> Plan:
    """Return the plan with what the server would begin of it by itself."""
    found = (item.operation for item in unattended(plan, observed))
    return replace(plan, unattended=frozenset(each.op_id for each in found if each))
