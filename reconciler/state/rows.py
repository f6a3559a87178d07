"""Plain rows of the state database, read without the mapping of tables.

SQLAlchemy takes a third of a second to load. What plans and `status` read is read by
plain queries, so that they need it only where something is written.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from reconciler.errors import StateError


class Rows(Protocol):
    """What reads the state database."""

    def rows(self, *queries: str, **values: str | int) -> list[list[tuple[Any, ...]]]:
        """Return the rows of some queries over one snapshot; ``:name`` in them is a value."""


class StateFile:
    """The state database as a file that is only read, and that is of the present version.

    Whoever has not made sure of the version opens it by ``open_database``, which brings
    it to the present one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, *queries: str, **values: str | int) -> list[list[tuple[Any, ...]]]:
        """Return rows as ``Rows``; StateError (RW701) when the file cannot be read."""
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        try:
            with closing(
                sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
            ) as connection:
                connection.execute("BEGIN")
                return fetched(connection, queries, values)
        except sqlite3.Error as error:
            raise unreadable(self._path, error) from error


def fetched(
    connection: sqlite3.Connection, queries: Iterable[str], values: dict[str, str | int]
) -> list[list[tuple[Any, ...]]]:
    """Return the rows of queries within the connection's transaction."""
    return [connection.execute(query, values).fetchall() for query in queries]


def unreadable(path: Path, error: sqlite3.Error) -> StateError:
    """Return the error for a state database that cannot be read."""
    return StateError(
        "RW701",
        f"the state database {path} cannot be used: {error}",
        "Restore it from a backup, or name another directory with --state",
    )


def stored_time(at: datetime) -> str:
    """Return a time as it is stored: sortable ISO 8601 in UTC, with microseconds.

    ValueError for a time without a time zone, which is a mistake.
    """
    if at.tzinfo is None:
        raise ValueError("a time without a time zone cannot be stored")
    return at.astimezone(UTC).isoformat(timespec="microseconds")
