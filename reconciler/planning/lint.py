"""Invariants that hold for every plan, whatever was desired and observed.

The tests hold every plan against them, and approval does so again: a defect in
the planner must not reach a disk.
"""

from collections import Counter
from collections.abc import Iterator

from agent.wire.step import ApplyIdentity, Restore
from reconciler.planning.groups import group_items
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import Plan
from reconciler.state.operation import Operation


def broken_invariants(plan: Plan) -> tuple[str, ...]:
    """Return what is wrong with a plan, one sentence each; empty for a sound one."""
    items = plan.items
    found = [text for item in items for text in _violations(item)]
    starts = Counter(item.machine for item in items if item.starts)
    found += [
        f"{machine}: {count} operations would start at once"
        for machine, count in starts.items()
        if count > 1
    ]
    order = [list(Risk).index(each.risk) for each in plan.groups]
    if order != sorted(order):
        found.append("the largest risk does not come first")
    found += [
        f"{each.risk} {each.action} {each.group}: what is said of its {each.count} items is not so"
        for each in plan.groups
        if group_items(each.items) != (each,)
    ]
    return tuple(found)


def _violations(item: PlanItem) -> Iterator[str]:
    if bool(item.machine) == bool(item.subject):
        yield f"{item.name}: is about a machine or about a document, never both"
    if item.risk is Risk.BLOCKED and not item.unblock:
        yield f"{item.name}: blocked, but nothing says what would unblock it"
    if item.operation is not None:
        yield from _broken_operation(item, item.operation)
    elif item.risk not in {Risk.BLOCKED, Risk.UNKNOWN} and not item.by_itself:
        yield f"{item.name}: {item.risk}, but nothing would be done"


def _broken_operation(item: PlanItem, operation: Operation) -> Iterator[str]:
    instructions = operation.instructions
    # What is under way bears the name that the machine had when it was planned.
    if operation.machine != item.machine and not item.running:
        yield f"{item.name}: its operation is for {operation.machine}"
    if item.risk is Risk.BLOCKED and not item.running:
        yield f"{item.name}: blocked, but an operation would start"
    if not item.running and operation.destructive != (item.risk is Risk.DESTRUCTIVE):
        count = len(instructions.disks)
        yield f"{item.name}: shown as {item.risk}, but it overwrites {count} disks"
    steps = instructions.steps
    written = {step.disk for step in steps if isinstance(step, Restore | ApplyIdentity)}
    if written != set(instructions.disks):
        yield f"{item.name}: its steps write other disks than the operation names"
    if not item.running and len(item.disks) != len(instructions.disks):
        yield f"{item.name}: overwrites {len(instructions.disks)} disks, shows {len(item.disks)}"
    if not item.running and len(item.images) != len(item.disks):
        yield f"{item.name}: {len(item.disks)} disks, but {len(item.images)} images for them"
    if any(step.agent_token for step in steps if isinstance(step, ApplyIdentity)):
        yield f"{item.name}: a secret is in the plan"
