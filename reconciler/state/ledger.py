"""The ledger: what was decided, begun and finished, in the order it happened."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from json import dumps
from typing import TYPE_CHECKING, Any

from attrs import frozen
from sqlalchemy import Connection, Select, and_, bindparam, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.errors import OvertakenError, StateError
from reconciler.state import schema
from reconciler.state.current_operations import begin_current, move_current, set_start
from reconciler.state.database import Database
from reconciler.state.ledger_chain import GIVEN_BY_PEOPLE, LedgerLine, line_hash
from reconciler.state.ledger_lines import newest_line
from reconciler.state.operation import Operation, OperationStatus, Start
from reconciler.state.operation_body import decode_operation, encode_operation
from reconciler.state.operation_states import (
    AT_WORK,
    OperationState,
    ended_for_silence,
    permits,
)
from reconciler.state.operations import UNDER_WAY, Operations
from reconciler.state.work_begun import Impact, WorkBegun, begin_work, go_on_with_work

if TYPE_CHECKING:
    from agent.wire.work import OperationEvent

_MOST_RESULTS = 50
_LONGEST_NAME = 60
_LONGEST_TEXT = 64_000
"""Of a step's result, which its agent says: entries, and characters of a name and of a text."""


@frozen
class LedgerEntry:
    """One line of history."""

    state: OperationState
    attempt: int
    at: datetime
    actor: str
    reason: str


def _with_state(newest: Select[tuple[int]]) -> Select[tuple[Any, ...]]:
    """Return the statement for operations with these lines, which are their newest."""
    ledger, operation, progress = schema.ledger, schema.operation, schema.progress
    present = schema.current_operation
    return (
        select(
            operation.c.body,
            ledger.c.state,
            ledger.c.attempt,
            ledger.c.at,
            ledger.c.reason,
            progress.c.step,
            progress.c.bytes_done,
            progress.c.bytes_total,
            progress.c.steps_done,
            progress.c.at.label("last_event_at"),
            present.c.may_interrupt,
            present.c.trigger,
            present.c.not_before,
        )
        .join(ledger, ledger.c.op_id == operation.c.op_id)
        .outerjoin(present, present.c.op_id == operation.c.op_id)
        .outerjoin(
            progress,
            and_(
                progress.c.op_id == operation.c.op_id,
                progress.c.attempt == ledger.c.attempt,
            ),
        )
        .where(ledger.c.sequence.in_(newest))
        .order_by(ledger.c.sequence)
    )


_NEWEST = select(func.max(schema.ledger.c.sequence)).group_by(schema.ledger.c.op_id)
_EVERY = _with_state(_NEWEST)
_ONE = _with_state(_NEWEST.where(schema.ledger.c.op_id == bindparam("one"))).where(
    schema.operation.c.op_id == bindparam("one")
)
"""Asked for with each word of an agent, so that it is not made anew each time."""


class Ledger:
    """Append-only history of operations on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._operations = Operations(database)

    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction for lines that belong together: all of them or none."""
        return self._database.writing()

    def plan(self, operation: Operation, at: datetime, actor: str) -> None:
        """Record an operation as planned; recording it again changes nothing."""
        with self._database.writing() as connection:
            self.plan_within(connection, operation, at, actor)

    def plan_within(
        self, connection: Connection, operation: Operation, at: datetime, actor: str
    ) -> int:
        """Do what ``plan`` does as a part of the caller's transaction.

        Return the number of the operation's attempts so far.
        """
        known = connection.execute(
            select(schema.operation.c.op_id).where(schema.operation.c.op_id == operation.op_id)
        ).first()
        if known is None:
            connection.execute(
                insert(schema.operation).values(
                    op_id=operation.op_id,
                    machine=operation.machine,
                    hardware=operation.hardware,
                    body=encode_operation(operation),
                    planned_at=at,
                )
            )
            planned = OperationState.PLANNED.value
            line = _write(connection, operation.op_id, planned, 0, at, actor, "")
            begin_current(connection, operation, line, at)
            return 0
        return _current(connection, operation.op_id)[1]

    def move(  # noqa: PLR0913 - a ledger line has this many parts
        self,
        op_id: str,
        before: OperationState,
        after: OperationState,
        *,
        attempt: int,
        at: datetime,
        actor: str,
        reason: str,
    ) -> None:
        """Append ``after``, provided the operation still stands at ``before``.

        Raises StateError: RW703 when the move is not in the table of transitions,
        RW704 when the operation meanwhile stands elsewhere.
        """
        with self._database.writing() as connection:
            self.move_within(
                connection,
                op_id,
                before,
                after,
                attempt=attempt,
                at=at,
                actor=actor,
                reason=reason,
            )

    def move_within(  # noqa: PLR0913 - likewise
        self,
        connection: Connection,
        op_id: str,
        before: OperationState,
        after: OperationState,
        *,
        attempt: int,
        at: datetime,
        actor: str,
        reason: str,
    ) -> None:
        """Do what ``move`` does as a part of the caller's transaction."""
        state, current_attempt, why = _current(connection, op_id)
        if not permits(before, after, why):
            raise StateError(
                "RW703",
                f"operation {op_id} cannot go from {before} to {after}",
                "This is a defect of Rackwright: report it with the operation's history",
            )
        if state is not before or attempt < current_attempt:
            raise OvertakenError(
                "RW704",
                f"operation {op_id} stands at {state}, attempt {current_attempt}; "
                f"the caller took it for {before}, attempt {attempt}",
                "Another process moved it: look at it again with `rackwright status`",
            )
        line = _write(connection, op_id, after.value, attempt, at, actor, reason)
        move_current(connection, op_id, line, after, attempt, at, reason)

    def approve_within(  # noqa: PLR0913 - likewise
        self,
        connection: Connection,
        operation: Operation,
        start: Start,
        *,
        at: datetime,
        actor: str,
        reason: str,
    ) -> None:
        """Record an operation as planned and approved on these terms. Raises as ``move``."""
        attempts = self.plan_within(connection, operation, at, actor)
        self.move_within(
            connection,
            operation.op_id,
            OperationState.PLANNED,
            OperationState.APPROVED,
            attempt=attempts,
            at=at,
            actor=actor,
            reason=reason,
        )
        set_start(connection, operation.op_id, start)

    def arm_within(  # noqa: PLR0913 - likewise
        self,
        connection: Connection,
        status: OperationStatus,
        impact: Impact | None,
        *,
        attempt: int,
        at: datetime,
        actor: str,
        reason: str,
    ) -> None:
        """Append ``armed``; the first time, record what budgets count. Raises as ``move``.

        ``impact`` is None for what was armed before.
        """
        operation = status.operation
        self.move_within(
            connection,
            operation.op_id,
            status.state,
            OperationState.ARMED,
            attempt=attempt,
            at=at,
            actor=actor,
            reason=reason,
        )
        if impact is not None:
            work = WorkBegun(
                operation.op_id,
                at,
                impact,
                operation.hardware,
                operation.identities,
                operation.scenario,
                operation.kind,
            )
            begin_work(connection, work)

    def may_go_on(self, connection: Connection, status: OperationStatus) -> bool:
        """Return whether work ended for silence alone, and no other began on its hardware since."""
        if not ended_for_silence(status.state, status.reason):
            return False
        ledger, named = schema.ledger, schema.operation_identity
        op_id = status.operation.op_id
        ended = select(func.max(ledger.c.sequence)).where(ledger.c.op_id == op_id)
        others = select(named.c.op_id).where(
            named.c.identity.in_(status.operation.identities), named.c.op_id != op_id
        )
        begun = select(ledger.c.sequence).where(
            ledger.c.op_id.in_(others),
            ledger.c.sequence > ended.scalar_subquery(),
            ledger.c.state.in_([state.value for state in AT_WORK]),
        )
        known = select(schema.current_operation.c.op_id).where(
            schema.current_operation.c.op_id == op_id
        )
        is_known = connection.execute(known).first() is not None
        return is_known and connection.execute(begun.limit(1)).first() is None

    def go_on_within(
        self, connection: Connection, status: OperationStatus, *, at: datetime, reason: str
    ) -> Impact | None:
        """Append ``started`` to work that ended for silence; return what budgets count again.

        None where they do not count it. Raises as ``move``.
        """
        operation = status.operation
        self.move_within(
            connection,
            operation.op_id,
            status.state,
            OperationState.STARTED,
            attempt=status.attempt,
            at=at,
            actor=operation.machine,
            reason=reason,
        )
        return go_on_with_work(connection, operation.op_id, at)

    def accept_within(self, connection: Connection, at: datetime, actor: str, reason: str) -> None:
        """Append a person's word that the ledger is to be taken as it is."""
        _write(connection, None, GIVEN_BY_PEOPLE, 0, at, actor, reason)

    def history(self, op_id: str) -> tuple[LedgerEntry, ...]:
        """Return all lines of one operation, oldest first."""
        table = schema.ledger
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table).where(table.c.op_id == op_id).order_by(table.c.sequence)
            )
            return tuple(
                LedgerEntry(OperationState(row.state), row.attempt, row.at, row.actor, row.reason)
                for row in rows
            )

    def current(self) -> tuple[OperationStatus, ...]:
        """Return what still decides something, in the order of the last move.

        The newest end of every piece of work, and all that has not ended; their steps
        are decoded only when they are asked for.
        """
        return self._operations.current()

    def under_way(self) -> tuple[OperationStatus, ...]:
        """Return the operations that hold their machine, in the order of the last move."""
        return self._operations.current(UNDER_WAY)

    def operations(self, *, op_id: str | None = None) -> tuple[OperationStatus, ...]:
        """Return operations with their present state, in the order of their last move.

        All that there ever were, or only the one of this id.
        """
        query, values = (_EVERY, {}) if op_id is None else (_ONE, {"one": op_id})
        with self._database.reading() as connection:
            return tuple(
                OperationStatus(
                    operation=decode_operation(row.body),
                    state=OperationState(row.state),
                    attempt=row.attempt,
                    at=row.at,
                    reason=row.reason,
                    step=row.step or 0,
                    bytes_done=row.bytes_done or 0,
                    bytes_total=row.bytes_total or 0,
                    last_event_at=row.last_event_at,
                    steps_done=bool(row.steps_done),
                    start=Start(bool(row.may_interrupt), row.trigger or "now", row.not_before),
                )
                for row in connection.execute(query, values)
            )

    def known_as(self, name: str) -> tuple[str, ...]:
        """Return the identities of the hardware that was planned for under a name last."""
        table = schema.operation
        with self._database.reading() as connection:
            query = (
                select(table.c.body)
                .where(table.c.machine == name)
                .order_by(table.c.planned_at.desc())
                .limit(1)
            )
            body = connection.execute(query).scalar()
        return decode_operation(body).identities if body is not None else ()

    def record_progress(self, op_id: str, event: "OperationEvent", at: datetime) -> bool:
        """Note what an attempt said; False for a repeated or overtaken message."""
        table = schema.progress
        values = {
            "attempt": event.attempt,
            "sequence": event.sequence,
            "step": event.step,
            "bytes_done": event.bytes_done,
            "bytes_total": event.bytes_total,
            "steps_done": event.kind == "done",
            "at": at,
        }
        newer = (table.c.attempt < event.attempt) | (
            (table.c.attempt == event.attempt) & (table.c.sequence < event.sequence)
        )
        statement = (
            upsert(table)
            .values(op_id=op_id, **values)
            .on_conflict_do_update(index_elements=["op_id"], set_=values, where=newer)
        )
        with self._database.writing() as connection:
            news = bool(connection.execute(statement).rowcount)
            if news:
                _time_step(connection, op_id, event, at)
            return news


def _time_step(connection: Connection, op_id: str, event: "OperationEvent", at: datetime) -> None:
    """Note when a step began or ended, and how many bytes it moved."""
    table = schema.step
    key = {"op_id": op_id, "attempt": event.attempt, "step": event.step}
    if event.kind == "step-started":
        row = {**key, "began_at": at, "bytes_done": 0}
        connection.execute(upsert(table).values(row).on_conflict_do_nothing())
    elif event.kind in {"step-done", "failed"}:
        connection.execute(
            update(table)
            .where(and_(*(table.c[name] == value for name, value in key.items())))
            .values(ended_at=at, bytes_done=event.bytes_done, result=_bounded(event.result))
        )


def _bounded(result: Mapping[str, str]) -> str:
    """Return what is kept of a step's result, as JSON."""
    kept = {name[:_LONGEST_NAME]: text[:_LONGEST_TEXT] for name, text in result.items()}
    return dumps(dict(islice(kept.items(), _MOST_RESULTS)))


def _current(connection: Connection, op_id: str) -> tuple[OperationState, int, str]:
    table = schema.ledger
    row = connection.execute(
        select(table.c.state, table.c.attempt, table.c.reason)
        .where(table.c.op_id == op_id)
        .order_by(table.c.sequence.desc())
        .limit(1)
    ).first()
    if row is None:
        raise StateError(
            "RW702",
            f"the ledger knows no operation {op_id}",
            "List what it knows with `rackwright status`",
        )
    return OperationState(row.state), row.attempt, row.reason


def _write(  # noqa: PLR0913, PLR0917 - one argument per column
    connection: Connection,
    op_id: str | None,
    state: str,
    attempt: int,
    at: datetime,
    actor: str,
    reason: str,
) -> int:
    """Append one line to the chain; return its number."""
    number, before = newest_line(connection)
    line = LedgerLine(number + 1, op_id, state, attempt, schema.time_text(at), actor, reason)
    values = {**line._asdict(), "at": at, "hash": line_hash(before, line)}
    connection.execute(insert(schema.ledger).values(**values))
    return line.sequence
