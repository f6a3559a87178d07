"""Which commits were accepted, one after the other."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler.state.rows import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.state.database import Database

_LAST = 'SELECT "commit", source, at, actor, reason FROM accepted_revision ORDER BY sequence DESC'


class AcceptedRevision(NamedTuple):
    """One commit that was acted on."""

    commit: str
    source: str
    """The path or URL that it came from."""
    at: datetime
    actor: str
    reason: str
    """Why it was accepted, as a clause: ``signed by Jane Doe``."""


class AcceptedRevisions:
    """The accepted commits of a state directory: only ever added to.

    Every plan asks for the last one, and needs the database for nothing else where
    nothing was observed: hence it is read by SQLite itself, and ``database`` opened
    only to add.
    """

    def __init__(self, path: Path, database: "Callable[[], Database]") -> None:
        self._path = path
        self._database = database

    def last(self) -> AcceptedRevision | None:
        """Return the one that was accepted last.

        Raises StateError (RW701) when the database cannot be read.
        """
        if not self._path.exists():
            return None
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
                row = connection.execute(f"{_LAST} LIMIT 1").fetchone()
        except sqlite3.Error as error:
            if "no such table" in str(error):  # of an earlier version
                return None
            self._database()  # says what is wrong with it, where that is not over by now
            raise unreadable(self._path, error) from error
        if row is None:
            return None
        commit, source, at, actor, reason = row
        return AcceptedRevision(commit, source, datetime.fromisoformat(at), actor, reason)

    def add(self, accepted: AcceptedRevision) -> None:
        """Make this the last accepted one."""
        from sqlalchemy import insert  # noqa: PLC0415 - slow to load

        from reconciler.state import schema  # noqa: PLC0415

        with self._database().writing() as connection:
            connection.execute(
                insert(schema.accepted_revision).values(
                    commit=accepted.commit,
                    source=accepted.source,
                    at=accepted.at,
                    actor=accepted.actor,
                    reason=accepted.reason,
                )
            )
