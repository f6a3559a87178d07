"""What is recorded of one machine: its operations with every move.

Rows are looked up by hardware identity and by operation, so that it costs the same in a
fleet of any size.
"""

from collections.abc import Iterable
from datetime import datetime

from attrs import frozen
from sqlalchemy import select

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.ledger import LedgerEntry
from reconciler.state.operation import Operation
from reconciler.state.operation_body import decode_operation
from reconciler.state.operation_states import ENDED, OperationState


@frozen
class PastOperation:
    """One operation with all its lines, oldest first; there is at least one."""

    operation: Operation
    lines: tuple[LedgerEntry, ...]

    @property
    def state(self) -> OperationState:
        """Return where it stands."""
        return self.lines[-1].state

    @property
    def has_ended(self) -> bool:
        """Return whether nothing follows."""
        return self.state in ENDED

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
    """The history of single machines on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def operations(self, identities: Iterable[str], limit: int) -> tuple[PastOperation, ...]:
        """Return the newest ``limit`` operations on this hardware, the newest first.

        ``identities`` are all that the hardware is known by (``uuid:…``, ``mac:…``).
        """
        operation, ledger = schema.operation, schema.ledger
        with self._database.reading() as connection:
            rows = connection.execute(
                select(operation.c.op_id, operation.c.body)
                .where(operation.c.hardware.in_(tuple(identities)))
                .order_by(operation.c.planned_at.desc(), operation.c.op_id)
                .limit(limit)
            ).all()
            lines = connection.execute(
                select(ledger)
                .where(ledger.c.op_id.in_([row.op_id for row in rows]))
                .order_by(ledger.c.sequence)
            ).all()
        moves: dict[str, list[LedgerEntry]] = {}
        for line in lines:
            entry = LedgerEntry(
                OperationState(line.state), line.attempt, line.at, line.actor, line.reason
            )
            moves.setdefault(line.op_id, []).append(entry)
        return tuple(
            PastOperation(decode_operation(row.body), tuple(moves[row.op_id])) for row in rows
        )
