"""The part of history that still decides something: newest ends, and what has not ended.

It is kept beside the ledger, in the same transactions.
Of the same work of the same hardware (scenario and run token; all inspections that
the planner asked for count as one, and so do all times of a schedule) the newest end stays,
and the newest that was verified and wrote a disk: what the disk holds is known from that one.
"""

from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert, or_, update

from reconciler.state import schema
from reconciler.state.operation import INSPECTION, SCHEDULED, Operation, Start
from reconciler.state.operation_states import AT_WORK, ENDED, OperationState
from reconciler.state.work_begun import end_work


def begin_current(
    connection: Connection, operation: Operation, sequence: int, at: datetime
) -> None:
    """Take in an operation that was planned by ledger line ``sequence``."""
    connection.execute(
        insert(schema.current_operation).values(
            sequence=sequence,
            op_id=operation.op_id,
            machine=operation.machine,
            hardware=operation.hardware,
            identities=" ".join(operation.identities),
            kind=operation.kind,
            scenario=operation.scenario,
            run=operation.run,
            revision=operation.revision,
            destructive=operation.destructive,
            proof=operation.proof,
            state=OperationState.PLANNED.value,
            attempt=0,
            at=at,
            reason="",
            **Start()._asdict(),
        )
    )
    connection.execute(
        insert(schema.operation_identity),
        [{"identity": each, "op_id": operation.op_id} for each in operation.identities],
    )


def set_start(connection: Connection, op_id: str, start: Start) -> None:
    """Record on what terms an operation was approved."""
    table = schema.current_operation
    connection.execute(update(table).where(table.c.op_id == op_id).values(start._asdict()))


def move_current(  # noqa: PLR0913, PLR0917 - one argument per column
    connection: Connection,
    op_id: str,
    sequence: int,
    state: OperationState,
    attempt: int,
    at: datetime,
    reason: str,
) -> None:
    """Follow ledger line ``sequence``; with an end, let go of what it supersedes."""
    table = schema.current_operation
    row = connection.execute(
        update(table)
        .where(table.c.op_id == op_id)
        .values(sequence=sequence, state=state.value, attempt=attempt, at=at, reason=reason)
        .returning(
            table.c.hardware,
            table.c.scenario,
            table.c.run,
            table.c.kind,
            table.c.destructive,
        )
    ).one()
    if state not in AT_WORK:
        end_work(connection, op_id)
    if state not in ENDED:
        return
    inspection = row.scenario == INSPECTION and row.kind == "inspect"
    if inspection:
        same_run = table.c.kind == "inspect"
    elif row.run.startswith(SCHEDULED):
        schedule = row.run.rpartition("/")[0]
        same_run = table.c.run.startswith(f"{schedule}/", autoescape=True)
    else:
        same_run = table.c.run == row.run
    superseded = and_(
        table.c.hardware == row.hardware,
        table.c.scenario == row.scenario,
        same_run,
        table.c.op_id != op_id,
        table.c.state.in_([each.value for each in (*ENDED, OperationState.PLANNED)]),
    )
    lasting = row.destructive or row.kind == "capture"
    if not (state is OperationState.VERIFIED and lasting):
        # What a disk holds and whether there is a backup of it is known from these.
        left = or_(table.c.destructive, table.c.kind == "capture")
        superseded = and_(superseded, ~and_(table.c.state == OperationState.VERIFIED.value, left))
    connection.execute(delete(table).where(superseded))
