"""From a plan to approved operations in the ledger."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.lint import broken_invariants
from reconciler.planning.plan import Plan
from reconciler.state.observed import Observed, ObservedMachine
from reconciler.state.operation import BY_HAND
from reconciler.state.operation_states import OperationState

if TYPE_CHECKING:
    from reconciler.state.ledger import Ledger
    from reconciler.state.runs import Run, RunKind


def unattended(plan: Plan, observed: Observed) -> tuple[PlanItem, ...]:
    """Return what the server may start without a person.

    Safe work, and a look at machines on which no installed system was ever heard. A
    machine that merely fell silent is not looked at: it may be at work, and a grant
    would catch its next restart.
    """
    return tuple(
        item
        for item in plan.to_apply
        if item.risk is Risk.SAFE
        or (
            item.risk is Risk.UNKNOWN
            and observed.machines.get(item.machine, ObservedMachine()).installed is None
        )
    )


def approve(  # noqa: PLR0913 - what is approved, and all that is recorded of it
    ledger: "Ledger",
    plan: Plan,
    items: Iterable[PlanItem],
    actor: str,
    now: datetime,
    *,
    kind: "RunKind" = "apply",
    reason: str = "",
) -> "Run | None":
    """Record the operations of ``items`` as planned and approved by ``actor``: all or none.

    Return the run that they make together; None where nothing is to be done. ``reason`` is a
    person's.

    StateError RW704 when one of them was approved meanwhile.
    ReconcilerError RW907 when the plan breaks an invariant: nothing is approved then.
    """
    broken = broken_invariants(plan)
    if broken:
        raise ReconcilerError(
            "RW907",
            f"the plan contradicts itself: {'; '.join(broken)}",
            "This is a defect of Rackwright: report it with the output of `plan --format json`",
        )

    from reconciler.state.runs import record_run, run_of  # noqa: PLC0415 - plans ask without it

    operations = [item.operation for item in items if item.operation is not None]
    if not operations:
        return None
    run = run_of(kind, actor, now, reason, plan.revision, plan.digest)
    if operations[0].is_by_hand:  # one name for both
        run = run._replace(run_id=operations[0].run.removeprefix(BY_HAND))
    told = f"run {run.run_id}, plan {plan.digest[:12]}" + (f": {reason}" if reason else "")
    with ledger.writing() as connection:
        for operation in operations:
            attempts = ledger.plan_within(connection, operation, now, actor)
            ledger.move_within(
                connection,
                operation.op_id,
                OperationState.PLANNED,
                OperationState.APPROVED,
                attempt=attempts,
                at=now,
                actor=actor,
                reason=told,
            )
        record_run(connection, run, [each.op_id for each in operations])
    return run
