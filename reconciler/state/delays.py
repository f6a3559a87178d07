"""Delays on the state database: what work waited for, and how long.

Approved work waits before it begins; a capture that is under way, for room in the image store.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

from reconciler.state import schema
from reconciler.state.database import Database

_TABLE = schema.delay


class Delay(NamedTuple):
    """One thing that an operation waited for."""

    why: str
    """As a clause: ``the fleet's imaging budget (5 at once)``."""
    since: datetime
    until: datetime | None
    """None: it waits for it still, as far as anybody wrote down."""


class Change(NamedTuple):
    """From a moment on an operation waits for something else, or for nothing."""

    op_id: str
    why: str
    """Empty: for nothing."""
    at: datetime


class Delays:
    """Reads and writes delays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def present(self) -> dict[str, Delay]:
        """Return by operation what it waits for."""
        query = select(_TABLE.c.op_id, _TABLE.c.why, _TABLE.c.since, _TABLE.c.until).where(
            _TABLE.c.until.is_(None)
        )
        with self._database.reading() as connection:
            return {op_id: Delay(*row) for op_id, *row in connection.execute(query)}

    def record(self, changes: Sequence[Change]) -> None:
        """Write changes down, in their order."""
        ends = update(_TABLE).where(_TABLE.c.op_id == bindparam("mine"), _TABLE.c.until.is_(None))
        with self._database.writing() as connection:
            for each in changes:
                connection.execute(ends.values(until=each.at), {"mine": each.op_id})
                if each.why:
                    connection.execute(
                        insert(_TABLE).values(op_id=each.op_id, why=each.why, since=each.at)
                    )
