"""Whether so much work failed that no more may begin. Pure."""

from collections.abc import Iterable

from reconciler.state.breakers import EndedWork
from specs.fleet import BreakerRule
from specs.types.quantities import Duration


def why_open(rule: BreakerRule, ended: Iterable[EndedWork]) -> str:
    """Return why the breaker of a rule opens, as a clause; empty where it stays closed.

    ``ended`` is the work of its machines that ended within its time. Machines are counted: one
    that failed twice counts once, and as failed where any of its work did.
    """
    machines: dict[str, bool] = {}
    for each in ended:
        machines[each.hardware] = machines.get(each.hardware, False) or each.failed
    failed = sum(machines.values())
    if failed < rule.failures or failed * 100 < rule.percent * len(machines):
        return ""
    within = Duration(rule.within_seconds)
    return f"{failed:,} of {len(machines):,} machines failed within {within}"
