"""Invariants that hold for every plan, whatever was desired and observed.

The tests hold every plan against them, and approval does so again: a defect in
the planner must not reach a disk.
"""

from collections import Counter
from collections.abc import Iterator

from agent.wire.step import ApplyIdentity, Restore
from reconciler.planning.plan import Plan, PlanItem, Risk


def broken_invariants(plan: Plan) -> tuple[str, ...]:
    """Return what is wrong with a plan, one sentence each; empty for a sound one."""
    found = [text for item in plan.items for text in _broken(item)]
    starts = Counter(item.machine for item in plan.to_apply)
    found += [
        f"{machine}: {count} operations would start at once"
        for machine, count in starts.items()
        if count > 1
    ]
    order = [list(Risk).index(item.risk) for item in plan.items]
    if order != sorted(order):
        found.append("the largest risk does not come first")
    return tuple(found)


def _broken(item: PlanItem) -> Iterator[str]:
    operation = item.operation
    if operation is None:
        if item.risk not in {Risk.BLOCKED, Risk.UNKNOWN}:
            yield f"{item.machine}: {item.risk}, but nothing would be done"
        return
    # What is under way bears the name that the machine had when it was planned.
    if operation.machine != item.machine and not item.running:
        yield f"{item.machine}: its operation is for {operation.machine}"
    if item.risk is Risk.BLOCKED and not item.running:
        yield f"{item.machine}: blocked, but an operation would start"
    if not item.running and operation.destructive != (item.risk is Risk.DESTRUCTIVE):
        count = len(operation.disks)
        yield f"{item.machine}: shown as {item.risk}, but it overwrites {count} disks"
    written = {step.disk for step in operation.steps if isinstance(step, Restore | ApplyIdentity)}
    if written != set(operation.disks):
        yield f"{item.machine}: its steps write other disks than the operation names"
    if not item.running and len(item.disks) != len(operation.disks):
        yield f"{item.machine}: overwrites {len(operation.disks)} disks, shows {len(item.disks)}"
    if any(step.agent_token for step in operation.steps if isinstance(step, ApplyIdentity)):
        yield f"{item.machine}: a secret is in the plan"
