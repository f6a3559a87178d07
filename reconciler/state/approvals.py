"""Approvals by rule: what was asked for, who said what, and whose rules are in force."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema
from reconciler.state.approval_records import ApprovalRequest, GivenApproval
from reconciler.state.database import Database
from reconciler.state.operation import Operation, OperationStatus
from reconciler.state.operation_states import OperationState
from reconciler.state.operations import Operations


class ApprovedRevision(NamedTuple):
    """A revision whose approval rules came into force."""

    revision: str
    rules: str
    at: datetime
    actor: str
    reason: str


class RequestedOperation(NamedTuple):
    """One operation of a plan that has to be approved, and where it stands."""

    status: OperationStatus
    risk: str

    @property
    def operation(self) -> Operation:
        """Return what is to be done."""
        return self.status.operation

    @property
    def state(self) -> OperationState:
        """Return where it stands."""
        return self.status.state


class Approvals:
    """Approvals on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._operations = Operations(database)

    def waiting(self) -> tuple[ApprovalRequest, ...]:
        """Return what has operations that wait to be approved or to be armed, newest first."""
        table, mine = schema.approval_request, schema.approval_request_operation
        current = schema.current_operation
        waits = (OperationState.PLANNED.value, OperationState.APPROVED.value)
        wanted = (
            select(mine.c.digest)
            .join(current, current.c.op_id == mine.c.op_id)
            .where(current.c.state.in_(waits))
        )
        query = select(table).where(table.c.digest.in_(wanted))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.at.desc(), table.c.digest))
            return tuple(ApprovalRequest(*row) for row in rows)

    def named(self, name: str) -> tuple[ApprovalRequest, ...]:
        """Return the plans whose digests are or begin with ``name``; at most two of them."""
        table = schema.approval_request
        query = select(table).where(table.c.digest.startswith(name, autoescape=True)).limit(2)
        with self._database.reading() as connection:
            return tuple(ApprovalRequest(*row) for row in connection.execute(query))

    def operations(self, digest: str) -> tuple[RequestedOperation, ...]:
        """Return what would be done, by machine; what was superseded since is left out."""
        mine = schema.approval_request_operation
        query = select(mine.c.op_id, mine.c.risk).where(mine.c.digest == digest)
        with self._database.reading() as connection:
            risks = {row.op_id: row.risk for row in connection.execute(query)}
        found = (
            RequestedOperation(each, risks[each.operation.op_id])
            for each in self._operations.asked_for(digest)
        )
        return tuple(sorted(found, key=lambda each: each.operation.machine))

    def op_ids(self, digest: str) -> frozenset[str]:
        """Return the ids of the operations that were asked for."""
        mine = schema.approval_request_operation
        with self._database.reading() as connection:
            query = select(mine.c.op_id).where(mine.c.digest == digest)
            return frozenset(connection.execute(query).scalars())

    def given(self, digest: str) -> tuple[GivenApproval, ...]:
        """Return the approvals of a plan that were not withdrawn, the oldest first."""
        with self._database.reading() as connection:
            return given_within(connection, digest)

    def said(self, digest: str) -> tuple[GivenApproval, ...]:
        """Return everything that was said of a plan, withdrawals too, the oldest first."""
        with self._database.reading() as connection:
            return _said(connection, digest)

    def approved_revision(self) -> ApprovedRevision | None:
        """Return the revision whose rules are in force; None where no rule ever was."""
        table = schema.approved_revision
        query = select(table).order_by(table.c.sequence.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else ApprovedRevision(*row[1:])


def ask_within(
    connection: Connection, request: ApprovalRequest, operations: Iterable[tuple[str, str]]
) -> None:
    """Keep a plan that has to be approved, with the risks of its operations by their ids.

    Asking again changes nothing. The operations are recorded already.
    """
    connection.execute(
        upsert(schema.approval_request).values(request._asdict()).on_conflict_do_nothing()
    )
    rows = [{"digest": request.digest, "op_id": op_id, "risk": risk} for op_id, risk in operations]
    if rows:
        table = schema.approval_request_operation
        connection.execute(upsert(table).on_conflict_do_nothing(), rows)


def say_within(connection: Connection, given: GivenApproval) -> None:
    """Keep what a person says of a plan; a tag that is known is not said again."""
    table = schema.approval
    if given.tag:
        known = select(table.c.sequence).where(
            table.c.tag == given.tag, table.c.digest == given.digest
        )
        if connection.execute(known).first() is not None:
            return
    connection.execute(insert(table).values(given._asdict()))


def given_within(connection: Connection, digest: str) -> tuple[GivenApproval, ...]:
    """Return what ``Approvals.given`` does as a part of the caller's transaction."""
    newest = {each.person: each for each in _said(connection, digest)}
    return tuple(each for each in newest.values() if not each.withdrawn)


def approve_revision_within(connection: Connection, approved: ApprovedRevision) -> None:
    """Put the approval rules of a revision in force."""
    connection.execute(insert(schema.approved_revision).values(approved._asdict()))


def _said(connection: Connection, digest: str) -> tuple[GivenApproval, ...]:
    table = schema.approval
    rows = connection.execute(
        select(table).where(table.c.digest == digest).order_by(table.c.sequence)
    )
    return tuple(GivenApproval(*row[1:]) for row in rows)
