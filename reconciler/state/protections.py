"""Where hardware was protected, kept."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.protection import protected_after
from specs.fleet import CompiledMachine


class Protections:
    """Where each piece of hardware was protected, by what it is known by."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, machines: Iterable[CompiledMachine], commit: str, at: datetime) -> None:
        """Take over what a revision that is acted on says, as ``protected_after`` has it."""
        table = schema.protection
        with self._database.writing() as connection:
            rows = connection.execute(select(table.c.identity, table.c.place))
            known = {row.identity: row.place for row in rows}
            wanted = protected_after(known, machines, commit)
            gone = [{"ended": identity} for identity in known.keys() - wanted.keys()]
            new = [
                {"identity": identity, "place": place, "at": at}
                for identity, place in wanted.items()
                if identity not in known
            ]
            if gone:
                ended = delete(table).where(table.c.identity == bindparam("ended"))
                connection.execute(ended, gone)
            if new:
                connection.execute(insert(table), new)
