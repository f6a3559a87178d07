"""The part of history that still decides something: newest ends, and what has not ended.

It is kept beside the ledger, in the same transactions.
Of the same work of the same hardware (scenario and run token; all inspections that
the planner asked for count as one) the newest end stays, and the newest that was
verified and wrote a disk: what the disk holds is known from that one.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert, update

from reconciler.ledger.body import StoredOperation
from reconciler.ledger.operation import INSPECTION, Operation, OperationStatus
from reconciler.ledger.states import ACTIVE, ENDED, OperationState
from reconciler.store import schema

_COLUMNS = (
    "op_id, kind, machine, hardware, identities, scenario, run, revision, destructive, proof, "
    "state, attempt, at, reason"
)
UNDER_WAY = ACTIVE | {OperationState.INDETERMINATE}
_PROGRESS = f"""
SELECT p.op_id, p.step, p.bytes_done, p.bytes_total, p.at, p.steps_done
FROM current_operation c JOIN progress p ON p.op_id = c.op_id AND p.attempt = c.attempt
WHERE c.state IN ({", ".join(f"'{state.value}'" for state in sorted(UNDER_WAY))})
"""  # noqa: S608 - constants
_STATES = {state.value: state for state in OperationState}


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
        )
    )


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
            table.c.hardware, table.c.scenario, table.c.run, table.c.kind, table.c.destructive
        )
    ).one()
    if state not in ENDED:
        return
    inspection = row.scenario == INSPECTION and row.kind == "inspect"
    same_run = table.c.kind == "inspect" if inspection else table.c.run == row.run
    superseded = and_(
        table.c.hardware == row.hardware,
        table.c.scenario == row.scenario,
        same_run,
        table.c.op_id != op_id,
        table.c.state.in_([each.value for each in ENDED]),
    )
    if not (state is OperationState.VERIFIED and row.destructive):
        wrote = and_(table.c.state == OperationState.VERIFIED.value, table.c.destructive)
        superseded = and_(superseded, ~wrote)
    connection.execute(delete(table).where(superseded))


def read_current(
    connection: Connection, fetch: Callable[[str], str], states: Iterable[OperationState] = ()
) -> tuple[OperationStatus, ...]:
    """Return the current operations in the order of their last move.

    All of them, or those in these states. Plain SQL: with 40,000 machines the mapping
    of rows costs more than the reading.
    """
    wanted = ", ".join(f"'{state.value}'" for state in states)
    where = f"WHERE state IN ({wanted})" if wanted else ""
    statement = f"SELECT {_COLUMNS} FROM current_operation {where} ORDER BY sequence"  # noqa: S608 - constants
    parse = datetime.fromisoformat
    progress = _progress(connection)
    found = []
    for row in connection.exec_driver_sql(statement).fetchall():
        op_id, kind, machine, hardware, identities, *work, state, attempt, at, reason = row
        operation = StoredOperation(
            fetch, op_id, kind, machine, hardware, tuple(identities.split(" ")), *work
        )
        found.append(
            OperationStatus(
                operation, _STATES[state], attempt, parse(at), reason, *progress.get(op_id, ())
            )
        )
    return tuple(found)


def _progress(connection: Connection) -> dict[str, tuple[int, int, int, datetime, bool]]:
    """Return how far the operations under way are, in the order of OperationStatus's fields."""
    return {
        op_id: (step, done, total, datetime.fromisoformat(at), bool(steps_done))
        for op_id, step, done, total, at, steps_done in connection.exec_driver_sql(_PROGRESS)
    }
