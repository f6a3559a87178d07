"""Which commits were accepted, one after the other."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.state.database import Database


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

    Where there is no database yet, none was accepted, and none is made to find out.
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
        return last_accepted(self._database())

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


def last_accepted(database: "Database") -> AcceptedRevision | None:
    """Return the commit that was accepted last; None where none was."""
    from sqlalchemy import select  # noqa: PLC0415 - slow to load

    from reconciler.state import schema  # noqa: PLC0415 - likewise

    table = schema.accepted_revision
    with database.reading() as connection:
        row = connection.execute(select(table).order_by(table.c.sequence.desc()).limit(1)).first()
    if row is None:
        return None
    return AcceptedRevision(row.commit, row.source, row.at, row.actor, row.reason)
