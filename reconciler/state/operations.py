"""Operations with their present state, read from the part of history that still decides something.

See ``current_operations`` for what that is. One machine's operations are found by any
identity of its hardware; the whole fleet's only where a whole plan is made.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, bindparam, func, or_, select, union_all

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.observed import Capture
from reconciler.state.operation import Instructions, Operation, OperationStatus, Start
from reconciler.state.operation_body import decode_operation
from reconciler.state.operation_states import ACTIVE, OperationState
from reconciler.state.reboot_locks import locks_begun
from reconciler.state.work_begun import WorkBegun, work_begun

UNDER_WAY = ACTIVE | {OperationState.INDETERMINATE}
_TABLE = schema.current_operation
_LINES = (
    select(schema.ledger.c.sequence, schema.ledger.c.op_id)
    .where(schema.ledger.c.sequence > bindparam("line"))
    .order_by(schema.ledger.c.sequence)
    .limit(bindparam("most"))
)
"""Asked for every second, so that it is not made anew each time."""
_STATES = {state.value: state for state in OperationState}


_OPERATION = (
    _TABLE.c.op_id,
    _TABLE.c.kind,
    _TABLE.c.machine,
    _TABLE.c.hardware,
    _TABLE.c.scenario,
    _TABLE.c.run,
    _TABLE.c.revision,
    _TABLE.c.destructive,
    _TABLE.c.proof,
    _TABLE.c.identities,
)
_SAID = and_(
    schema.progress.c.op_id == _TABLE.c.op_id,
    schema.progress.c.attempt == _TABLE.c.attempt,
    or_(*(_TABLE.c.state == state.value for state in UNDER_WAY)),
)
"""What an earlier attempt said is over; what an operation said before its end too."""
_CURRENT = (
    select(
        *_OPERATION,
        _TABLE.c.state,
        _TABLE.c.attempt,
        _TABLE.c.at,
        _TABLE.c.reason,
        _TABLE.c.may_interrupt,
        _TABLE.c.trigger,
        _TABLE.c.not_before,
        schema.progress.c.step,
        schema.progress.c.bytes_done,
        schema.progress.c.bytes_total,
        schema.progress.c.at.label("said_at"),
        schema.progress.c.steps_done,
    )
    .outerjoin(schema.progress, _SAID)
    .order_by(_TABLE.c.sequence)
)
"""The loop asks for each machine: a statement that is made once takes half the time."""
_ACTIVE_OF = _CURRENT.where(
    _TABLE.c.op_id.in_(bindparam("op_ids", expanding=True)),
    _TABLE.c.state.in_([each.value for each in ACTIVE]),
)
_OF_HARDWARE = _CURRENT.where(
    or_(
        _TABLE.c.op_id.in_(
            select(schema.operation_identity.c.op_id).where(
                schema.operation_identity.c.identity.in_(bindparam("identities", expanding=True))
            )
        ),
        _TABLE.c.state.in_(bindparam("states", expanding=True)),
    )
)


class OperationHardware(NamedTuple):
    """What an operation is for."""

    op_id: str
    hardware: str
    identities: tuple[str, ...]


class Operations:
    """What plans and the loop read of operations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self, states: Collection[OperationState] = ()) -> tuple[OperationStatus, ...]:
        """Return the current operations in the order of their last move.

        All of them, or those in these states.
        """
        wanted = [each.value for each in states]
        return self._read(_CURRENT.where(_TABLE.c.state.in_(wanted)) if states else _CURRENT)

    def active(self, op_ids: Iterable[str]) -> tuple[OperationStatus, ...]:
        """Return those of these operations that are approved, armed or started."""
        return self._read(_ACTIVE_OF, op_ids=list(op_ids))

    def under_way(self) -> tuple[OperationHardware, ...]:
        """Return on which hardware operations are under way, in the order of their last move."""
        query = (
            select(_TABLE.c.op_id, _TABLE.c.hardware, _TABLE.c.identities)
            .where(_TABLE.c.state.in_([each.value for each in ACTIVE]))
            .order_by(_TABLE.c.sequence)
        )
        with self._database.reading() as connection:
            return tuple(
                OperationHardware(op_id, hardware, tuple(identities.split(" ")))
                for op_id, hardware, identities in connection.execute(query)
            )

    def of_hardware(
        self, identities: Iterable[str], *, or_in: Collection[OperationState] = ()
    ) -> tuple[OperationStatus, ...]:
        """Return the current operations of all hardware that shares one of these identities.

        And those of any hardware that are in the states ``or_in``.
        """
        states = [state.value for state in or_in]
        return self._read(_OF_HARDWARE, identities=list(identities), states=states)

    def asked_for(self, digest: str) -> tuple[OperationStatus, ...]:
        """Return the current operations of a plan that has to be approved."""
        table = schema.approval_request_operation
        asked = select(table.c.op_id).where(table.c.digest == digest)
        return self._read(_CURRENT.where(_TABLE.c.op_id.in_(asked)))

    def newest_line(self) -> int:
        """Return the number of the ledger's newest line; 0 where there is none."""
        with self._database.reading() as connection:
            return connection.execute(select(func.max(schema.ledger.c.sequence))).scalar() or 0

    def moved_since(self, line: int, most: int) -> tuple[int, tuple[str, ...]]:
        """Return what the next ``most`` ledger lines after this one concern, oldest first.

        The last of these lines comes with it: the same line where there is no later one.
        """
        with self._database.reading() as connection:
            rows = connection.execute(_LINES, {"line": line, "most": most}).all()
        moved = dict.fromkeys(row.op_id for row in rows if row.op_id is not None)
        return rows[-1].sequence if rows else line, tuple(moved)

    def furthest_steps(self, op_ids: Collection[str]) -> dict[str, int]:
        """Return of each operation the last step that any attempt is known to have begun.

        0 where an agent claimed the work and said nothing yet; what no agent ever claimed is
        left out. Steps are done in their order.
        """
        ledger, step, progress = schema.ledger, schema.step, schema.progress
        wanted = list(op_ids)
        claimed = select(ledger.c.op_id).where(
            ledger.c.op_id.in_(wanted), ledger.c.state == OperationState.STARTED.value
        )
        said = union_all(
            select(step.c.op_id, step.c.step).where(step.c.op_id.in_(wanted)),
            select(progress.c.op_id, progress.c.step).where(progress.c.op_id.in_(wanted)),
        )
        with self._database.reading() as connection:
            found = dict.fromkeys(connection.execute(claimed).scalars(), 0)
            for op_id, number in connection.execute(said):
                found[op_id] = max(found.get(op_id, 0), number)
        return found

    def claimed_attempts(self, op_id: str) -> int:
        """Return how many attempts of an operation an agent claimed."""
        ledger = schema.ledger
        query = select(func.count(func.distinct(ledger.c.attempt))).where(
            ledger.c.op_id == op_id, ledger.c.state == OperationState.STARTED.value
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def planned_at(self, op_ids: Collection[str]) -> list[datetime]:
        """Return when these operations were planned, oldest first."""
        table = schema.operation
        query = select(table.c.planned_at).where(table.c.op_id.in_(list(op_ids)))
        with self._database.reading() as connection:
            return list(connection.execute(query.order_by(table.c.planned_at)).scalars())

    def captures(self, op_ids: Collection[str] | None = None) -> tuple[Capture, ...]:
        """Return what operations brought into the store; all, or what these did."""
        table = schema.capture
        query = select(table.c.op_id, table.c.image, table.c.manifest, table.c.proof)
        if op_ids is not None:
            query = query.where(table.c.op_id.in_(list(op_ids)))
        with self._database.reading() as connection:
            return tuple(Capture(*row) for row in connection.execute(query))

    def work_begun(self, since: datetime) -> tuple[WorkBegun, ...]:
        """Return the work that budgets count: begun from ``since`` on, or not over yet.

        Machines that may restart by themselves are among it (``reconciler.state.reboot_locks``).
        """
        with self._database.reading() as connection:
            return (*work_begun(connection, since), *locks_begun(connection, since))

    def _read(
        self, query: Select[tuple[Any, ...]], **values: object
    ) -> tuple[OperationStatus, ...]:
        with self._database.reading() as connection:
            rows = connection.execute(query, values).all()
        return tuple(map(self._status, rows))

    def _status(self, row: Any) -> OperationStatus:  # noqa: ANN401 - a row of ``_read``
        *operation, identities, state, attempt, at, reason = row[:-8]
        may_interrupt, trigger, not_before, step, done, total, said, ended = row[-8:]
        operation += [tuple(identities.split(" ")), partial(self._instructions, row.op_id)]
        return OperationStatus(
            Operation(*operation),
            _STATES[state],
            attempt,
            at,
            reason,
            step or 0,
            done or 0,
            total or 0,
            said,
            bool(ended),
            Start(may_interrupt, trigger, not_before),
        )

    def _instructions(self, op_id: str) -> Instructions:
        """Return what an operation does, as it was recorded."""
        table = schema.operation
        with self._database.reading() as connection:
            query = select(table.c.body).where(table.c.op_id == op_id)
            body = str(connection.execute(query).scalar_one())
        return decode_operation(body).instructions


"""What a row begins with: the fields of an ``Operation`` in their order."""


def placed_content(operations: Operations) -> frozenset[str]:
    """Return the SHA-256 of files that work which has not ended brings, and no commit has."""
    from agent.wire.step import PlaceFiles  # noqa: PLC0415 - seldom needed

    waiting = operations.current(ACTIVE | {OperationState.PLANNED})
    steps = (
        step
        for each in waiting
        if each.operation.is_inline
        for step in each.operation.instructions.steps
    )
    placed = (step.files for step in steps if isinstance(step, PlaceFiles))
    return frozenset(file.sha256 for files in placed for file in files)
