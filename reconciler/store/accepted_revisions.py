"""Which commits were accepted, one after the other."""

from datetime import datetime

from attrs import frozen
from sqlalchemy import insert, select

from reconciler.store import schema
from reconciler.store.database import Database


@frozen
class AcceptedRevision:
    """One commit that was acted on."""

    commit: str
    source: str
    """The path or URL that it came from."""
    at: datetime
    actor: str
    reason: str
    """Why it was accepted, as a clause: ``signed by Jane Doe``."""


class AcceptedRevisions:
    """The accepted commits of a state directory: only ever added to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> AcceptedRevision | None:
        """Return the one that was accepted last."""
        table = schema.accepted_revision
        with self._database.reading() as connection:
            query = select(table).order_by(table.c.sequence.desc()).limit(1)
            row = connection.execute(query).first()
        if row is None:
            return None
        return AcceptedRevision(row.commit, row.source, row.at, row.actor, row.reason)

    def add(self, accepted: AcceptedRevision) -> None:
        """Make this the last accepted one."""
        with self._database.writing() as connection:
            connection.execute(
                insert(schema.accepted_revision).values(
                    commit=accepted.commit,
                    source=accepted.source,
                    at=accepted.at,
                    actor=accepted.actor,
                    reason=accepted.reason,
                )
            )
