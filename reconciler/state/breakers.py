"""Breakers on the state database: which are open, since when and why, and who closed one.

A breaker holds back new work in the fleet or in a group after failures, until a person lets it
go on. Its history is only ever added to; the newest line of each says how it stands.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, insert, select

from reconciler.errors import StateError
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.operation_states import OperationState

FAILURES = frozenset({OperationState.FAILED, OperationState.INDETERMINATE})
"""Ends of work that a breaker counts; a machine that nobody reached is one of them."""


class OpenBreaker(NamedTuple):
    """A breaker that holds back new work."""

    group: str
    """Empty: that of the fleet."""
    since: datetime
    cause: str
    """As a clause: ``3 of 5 machines failed within 1h``."""

    def __str__(self) -> str:
        return f"the open breaker of {self.whose} ({self.cause})"

    @property
    def whose(self) -> str:
        """Return ``the fleet`` or ``group tokyo/row2``."""
        return f"group {self.group}" if self.group else "the fleet"


class EndedWork(NamedTuple):
    """An operation that ended by itself."""

    hardware: str
    failed: bool


class Breakers:
    """Opens, reads and closes breakers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_ones(self) -> tuple[OpenBreaker, ...]:
        """Return the open breakers, the fleet's first."""
        table = schema.breaker_event
        newest = select(func.max(table.c.sequence)).group_by(table.c.group)
        query = (
            select(table.c.group, table.c.at, table.c.reason)
            .where(table.c.sequence.in_(newest), table.c.is_open)
            .order_by(table.c.group)
        )
        with self._database.reading() as connection:
            return tuple(OpenBreaker(*row) for row in connection.execute(query))

    def open(self, group: str, at: datetime, actor: str, cause: str) -> OpenBreaker:
        """Hold back new work from now on."""
        self._write(group, at, actor, cause, is_open=True)
        return OpenBreaker(group, at, cause)

    def reset(self, group: str, at: datetime, actor: str, reason: str) -> None:
        """Let work begin again; StateError RW652 where the breaker is not open."""
        if group not in {each.group for each in self.open_ones()}:
            whose = OpenBreaker(group, at, "").whose
            raise StateError(
                "RW652", f"the breaker of {whose} is not open", "See `rackwright breaker`"
            )
        self._write(group, at, actor, reason, is_open=False)

    def ended_since(self, group: str, since: datetime) -> tuple[EndedWork, ...]:
        """Return all work that ended from ``since`` on and after the group's breaker was reset."""
        events, ledger, operation = schema.breaker_event, schema.ledger, schema.operation
        reset = select(func.max(events.c.at)).where(events.c.group == group, ~events.c.is_open)
        ends = [each.value for each in (*FAILURES, OperationState.VERIFIED)]
        with self._database.reading() as connection:
            last_reset = connection.execute(reset).scalar()
            query = (
                select(ledger.c.op_id, operation.c.hardware, ledger.c.state)
                .join(operation, operation.c.op_id == ledger.c.op_id)
                .where(ledger.c.state.in_(ends), ledger.c.at >= max(since, last_reset or since))
                .order_by(ledger.c.sequence)
            )
            # What ended twice, because it went on in between, counts as it ended last.
            found = {
                op_id: EndedWork(hardware, state != OperationState.VERIFIED.value)
                for op_id, hardware, state in connection.execute(query)
            }
        return tuple(found.values())

    def _write(self, group: str, at: datetime, actor: str, reason: str, *, is_open: bool) -> None:
        row = {"group": group, "is_open": is_open, "at": at, "actor": actor, "reason": reason}
        with self._database.writing() as connection:
            connection.execute(insert(schema.breaker_event).values(row))
