"""Work that budgets count: when it began, on which hardware, and whether it still goes on.

A row is written with the ledger line that arms an operation for the first time. Whether a
running system is interrupted is decided in that moment and stands nowhere else.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema
from reconciler.state.operation import OperationKind


class Impact(StrEnum):
    """What work does to a machine, as budgets tell it apart."""

    DESTRUCTIVE = "destructive"
    """Overwrites a disk."""
    DISRUPTIVE = "disruptive"
    """Interrupts a system that may be running, and overwrites no disk."""
    SAFE = "safe"
    """Neither."""


class WorkBegun(NamedTuple):
    """The beginning of an operation."""

    op_id: str
    at: datetime
    impact: Impact
    hardware: str
    identities: tuple[str, ...]
    """All that the hardware was known by when the operation was planned."""
    scenario: str
    kind: OperationKind
    at_work: bool = True
    """Whether the operation is armed or started still."""


def begin_work(connection: Connection, work: WorkBegun) -> None:
    """Record a beginning, in the transaction that arms the operation.

    One that was armed before, and whose approval lapsed, begins anew.
    """
    values = {
        "at": work.at,
        "impact": work.impact.value,
        "hardware": work.hardware,
        "identities": " ".join(work.identities),
        "scenario": work.scenario,
        "kind": work.kind,
        "at_work": work.at_work,
    }
    connection.execute(
        upsert(schema.work_begun)
        .values(op_id=work.op_id, **values)
        .on_conflict_do_update(index_elements=["op_id"], set_=values)
    )


def end_work(connection: Connection, op_id: str) -> None:
    """Record that the operation is at work no more; nothing where it never was."""
    table = schema.work_begun
    connection.execute(update(table).where(table.c.op_id == op_id).values(at_work=False))


def go_on_with_work(connection: Connection, op_id: str, at: datetime) -> Impact | None:
    """Record that ended work goes on; return what it counts as, None where it does not."""
    table = schema.work_begun
    found = connection.execute(
        update(table)
        .where(table.c.op_id == op_id)
        .values(at_work=True, at=at)
        .returning(table.c.impact)
    ).scalar()
    return None if found is None else Impact(found)


def work_begun(connection: Connection, since: datetime) -> tuple[WorkBegun, ...]:
    """Return what began from ``since`` on, and what is not over yet, oldest first."""
    table = schema.work_begun
    query = select(table).where(or_(table.c.at >= since, table.c.at_work)).order_by(table.c.at)
    return tuple(
        WorkBegun(
            row.op_id,
            row.at,
            Impact(row.impact),
            row.hardware,
            tuple(row.identities.split(" ")),
            row.scenario,
            row.kind,
            row.at_work,
        )
        for row in connection.execute(query)
    )
