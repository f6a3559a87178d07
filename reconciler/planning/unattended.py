"""What of a plan the server may begin without a person. Pure."""

from collections.abc import Callable
from datetime import datetime

from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import Plan
from reconciler.state.observed import ObservedMachine


def unattended(plan: Plan, may_take: Callable[[PlanItem], bool]) -> tuple[PlanItem, ...]:
    """Return what of a plan the server may start without a person.

    Safe work, and looks at disks, on machines that it ``may_take``: while an agent in RAM waits
    for work there, or in a window. Any other machine may be in use: it would be interrupted,
    or caught by its user's next restart.
    """
    safe = (item for item in plan.to_apply if item.risk in {Risk.SAFE, Risk.UNKNOWN})
    return tuple(item for item in safe if may_take(item))


def may_take(seen: ObservedMachine, now: datetime, *, in_window: bool) -> bool:
    """Return whether a machine may be taken though nobody agreed to interrupt it.

    ``in_window`` says that documents name this hour for work on it: then it may be in
    use by nobody but a system whose agent was heard.
    """
    return seen.is_idle(now) or (in_window and not seen.system_may_run)
