"""Reading the ledger as one chain of lines, whatever operation they are about."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.ledger_chain import GIVEN_BY_PEOPLE, Head, LedgerLine

_AT_ONCE = 5_000
"""Lines that are in memory at one time."""
_ID = text("SELECT id FROM ledger_id")
_NEWEST = text("SELECT sequence, hash FROM ledger ORDER BY sequence DESC LIMIT 1")
_HASH = text("SELECT hash FROM ledger WHERE sequence = :line")
_LINES = text(
    "SELECT sequence, op_id, state, attempt, at, actor, reason, hash FROM ledger ORDER BY sequence"
)
"""As text: the hash is of what is stored."""


class LedgerAt(NamedTuple):
    """What a ledger is, and what it has at one line."""

    head: Head
    hash: str
    """Of the line that was asked for; the id for line 0, empty where there is no such line."""


def newest_line(connection: Connection) -> tuple[int, str]:
    """Return the number and the hash that the next line follows."""
    row = connection.execute(_NEWEST).first()
    return (0, ledger_id(connection)) if row is None else (row[0], row[1])


def ledger_id(connection: Connection) -> str:
    """Return the id that the ledger got when it was made; empty where somebody removed it."""
    return str(connection.execute(_ID).scalar() or "")


def _head(connection: Connection) -> Head:
    return Head(ledger_id(connection), *newest_line(connection))


class LedgerLines:
    """The ledger of a database, read only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self) -> Head:
        """Return how far the ledger goes."""
        with self._database.reading() as connection:
            return _head(connection)

    def at(self, line: int) -> LedgerAt:
        """Return how far the ledger goes, and its hash at one line, both of one moment."""
        with self._database.reading() as connection:
            head = _head(connection)
            if line == 0:
                return LedgerAt(head, head.ledger)
            if line == head.line:
                return LedgerAt(head, head.hash)
            return LedgerAt(head, connection.execute(_HASH, {"line": line}).scalar() or "")

    def stored(self) -> Iterator[tuple[LedgerLine, str]]:
        """Yield every line with its stored hash, in one snapshot, a few thousand in memory."""
        with self._database.reading() as connection:
            for row in connection.execute(_LINES).yield_per(_AT_ONCE):
                yield LedgerLine(*row[:-1]), row[-1]

    def accepted_at(self) -> datetime | None:
        """Return when a person last accepted the ledger as it was; None for never."""
        table = schema.ledger
        query = select(func.max(table.c.at)).where(table.c.state == GIVEN_BY_PEOPLE)
        with self._database.reading() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found
