"""What is recorded of operations: every move, and when each step began and ended.

Rows are looked up by hardware identity and by operation, so that it costs the same in a
fleet of any size.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from json import loads
from types import MappingProxyType
from typing import Any, NamedTuple

from attrs import frozen
from sqlalchemy import Connection, Select, select

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.delays import Delay
from reconciler.state.ledger import LedgerEntry
from reconciler.state.operation import Operation
from reconciler.state.operation_body import decode_operation
from reconciler.state.operation_states import ENDED, OperationState


class StepTiming(NamedTuple):
    """One step of one attempt, as the server heard of it."""

    attempt: int
    step: int
    """Index into the operation's steps."""
    began_at: datetime
    ended_at: datetime | None
    """None: it goes on, or never ended."""
    bytes_done: int
    result: Mapping[str, str] = MappingProxyType({})
    """What it found or did, as its agent said it."""


@frozen
class PastOperation:
    """One operation with all its lines, oldest first; there is at least one."""

    operation: Operation
    lines: tuple[LedgerEntry, ...]
    steps: tuple[StepTiming, ...] = ()
    delays: tuple[Delay, ...] = ()
    """What it waited for before it began, the oldest first."""

    @property
    def state(self) -> OperationState:
        """Return where it stands."""
        return self.lines[-1].state

    @property
    def has_ended(self) -> bool:
        """Return whether nothing follows."""
        return self.state in ENDED

    @property
    def known_steps(self) -> tuple[StepTiming, ...]:
        """Return the steps that the operation has: an agent may say any number."""
        return tuple(
            each for each in self.steps if 0 <= each.step < len(self.operation.instructions.steps)
        )

    @property
    def begun_at(self) -> datetime:
        """Return when an agent began it for the first time; before that, when it was planned."""
        begun = (line.at for line in self.lines if line.state is OperationState.STARTED)
        return next(begun, self.lines[0].at)

    @property
    def approved_by(self) -> str:
        """Return who approved it, else who planned it."""
        approvals = [line.actor for line in self.lines if line.state is OperationState.APPROVED]
        return approvals[0] if approvals else self.lines[0].actor

    def seconds(self, now: datetime) -> float | None:
        """Return how long it took since it was first armed, or takes by now; None before that."""
        armed = [line.at for line in self.lines if line.state is OperationState.ARMED]
        if not armed:
            return None
        end = self.lines[-1].at if self.has_ended else now
        return (end - armed[0]).total_seconds()


class MachineHistory:
    """The history of operations on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def operations(self, identities: Iterable[str], limit: int) -> tuple[PastOperation, ...]:
        """Return the newest ``limit`` operations on this hardware, the newest first.

        ``identities`` are all that the hardware is known by (``uuid:…``, ``mac:…``).
        """
        table = schema.operation
        query = (
            select(table.c.op_id, table.c.body)
            .where(table.c.hardware.in_(tuple(identities)))
            .order_by(table.c.planned_at.desc(), table.c.op_id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return _past(connection, query)

    def of_operations(self, op_ids: Iterable[str]) -> tuple[PastOperation, ...]:
        """Return these operations, by machine."""
        table = schema.operation
        query = (
            select(table.c.op_id, table.c.body)
            .where(table.c.op_id.in_(tuple(op_ids)))
            .order_by(table.c.machine, table.c.op_id)
        )
        with self._database.reading() as connection:
            return _past(connection, query)

    def of_run(self, run_id: str) -> tuple[PastOperation, ...]:
        """Return the operations of a run, by machine."""
        table, mine = schema.operation, schema.run_operation
        query = (
            select(table.c.op_id, table.c.body)
            .join(mine, mine.c.op_id == table.c.op_id)
            .where(mine.c.run_id == run_id)
            .order_by(table.c.machine, table.c.op_id)
        )
        with self._database.reading() as connection:
            return _past(connection, query)


def _past(connection: Connection, query: Select[Any]) -> tuple[PastOperation, ...]:
    """Return the operations of which ``query`` finds the ids and recorded texts."""
    found = [(row.op_id, row.body) for row in connection.execute(query)]
    ledger, step = schema.ledger, schema.step
    chosen = query.with_only_columns(schema.operation.c.op_id)
    lines: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
    for line in connection.execute(
        select(ledger).where(ledger.c.op_id.in_(chosen)).order_by(ledger.c.sequence)
    ):
        entry = LedgerEntry(
            OperationState(line.state), line.attempt, line.at, line.actor, line.reason
        )
        lines[line.op_id].append(entry)
    steps: defaultdict[str, list[StepTiming]] = defaultdict(list)
    for row in connection.execute(
        select(step).where(step.c.op_id.in_(chosen)).order_by(step.c.attempt, step.c.step)
    ):
        timing = (row.attempt, row.step, row.began_at, row.ended_at, row.bytes_done)
        steps[row.op_id].append(StepTiming(*timing, loads(row.result)))
    delay = schema.delay
    delays: defaultdict[str, list[Delay]] = defaultdict(list)
    for op_id, *waited in connection.execute(
        select(delay.c.op_id, delay.c.why, delay.c.since, delay.c.until)
        .where(delay.c.op_id.in_(chosen))
        .order_by(delay.c.sequence)
    ):
        delays[op_id].append(Delay(*waited))
    return tuple(
        PastOperation(
            decode_operation(body), tuple(lines[op_id]), tuple(steps[op_id]), tuple(delays[op_id])
        )
        for op_id, body in found
    )
