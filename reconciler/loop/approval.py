"""From a plan to approved operations in the ledger."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from reconciler.errors import ReconcilerError
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.lint import broken_invariants
from reconciler.planning.plan import Plan
from reconciler.state.ledger import Ledger
from reconciler.state.operation import BY_HAND, Operation, Start
from reconciler.state.rollouts import leave_rollouts
from reconciler.state.runs import Run, RunKind, record_run, run_of
from specs.fleet import Trigger


def approve(  # noqa: PLR0913 - what is approved, and all that is recorded of it
    ledger: Ledger,
    plan: Plan,
    items: Iterable[PlanItem],
    actor: str,
    now: datetime,
    *,
    kind: RunKind = "apply",
    reason: str = "",
    trigger: Trigger | None = None,
    not_before: datetime | None = None,
    run_id: str = "",
    alongside: Callable[[Connection], None] | None = None,
) -> Run | None:
    """Record the operations of ``items`` as planned and approved by ``actor``: all or none.

    Return the run that they make together; None where nothing is to be done. ``reason`` is a
    person's; ``trigger`` is the scenario's where it is None. ``run_id`` is that of a run that has
    its name already, ``alongside`` what else is to be written in the transaction.

    StateError RW704 when one of them was approved meanwhile.
    ReconcilerError RW907 when the plan breaks an invariant: nothing is approved then.
    """
    require_consistent(plan)
    work = [
        (
            item.operation,
            Start(
                kind != "unattended" and item.risk is not Risk.SAFE,
                trigger or item.trigger,
                not_before,
            ),
        )
        for item in items
        if item.operation is not None
    ]
    run = run_of(kind, actor, now, reason, plan.revision, plan.digest)
    if run_id:
        run = run._replace(run_id=run_id, plan_digest="")  # its operations are of several plans
    with ledger.writing() as connection:
        made = approve_within(connection, ledger, work, run)
        if alongside is not None:
            alongside(connection)
        return made


def require_consistent(plan: Plan) -> None:
    """Refuse a plan that breaks an invariant (RW907)."""
    broken = broken_invariants(plan)
    if broken:
        raise ReconcilerError(
            "RW907",
            f"the plan contradicts itself: {'; '.join(broken)}",
            "This is a defect of Rackwright: report it with the output of `plan --format json`",
        )


def approve_within(
    connection: Connection,
    ledger: Ledger,
    work: Sequence[tuple[Operation, Start]],
    run: Run,
    expires: Mapping[str, datetime | None] | None = None,
) -> Run | None:
    """Do what ``approve`` does as a part of the caller's transaction.

    ``expires`` says of operations until when they may be armed.
    """
    operations = [operation for operation, _ in work]
    if not operations:
        return None
    if operations[0].is_by_hand:  # one name for both
        run = run._replace(run_id=operations[0].run.removeprefix(BY_HAND))
    told = f"run {run.run_id}" + (f", plan {run.plan_digest[:12]}" if run.plan_digest else "")
    told += f": {run.reason}" if run.reason else ""
    leave_rollouts(connection, [each.op_id for each in operations], run.at)
    for operation, start in work:
        ledger.approve_within(
            connection,
            operation,
            start,
            at=run.at,
            actor=run.actor,
            reason=told + said(operation, start),
        )
    ends = expires or {}
    record_run(connection, run, {each.op_id: ends.get(each.op_id) for each in operations})
    return run


def said(operation: Operation, start: Start) -> str:
    """Return what was agreed to with an approval, for the ledger."""
    terms = []
    if operation.destructive:
        disks = ", ".join(disk.key() for disk in operation.instructions.disks)
        terms.append(f"overwrites disk {disks}")
    if start.may_interrupt:
        terms.append("may interrupt a running system")
    if start.trigger == "next-boot":
        terms.append("at the machine's next start")
    if start.not_before is not None:
        terms.append(f"not before {start.not_before:%Y-%m-%d %H:%M:%S} UTC")
    return "".join(f"; {term}" for term in terms)
