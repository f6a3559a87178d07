"""What went wrong in the server and still does: one row for each subject, until it works again.

A subject is ``machine/NAME``, ``task/NAME`` or ``port/NAME``: whatever the fault was contained
in. They are of the server that runs, or of the one that ran last. ``token/NAME`` is a used token
of a machine that somebody showed again: that stays until a person clears it.
"""

from datetime import datetime
from pathlib import Path
from shutil import disk_usage

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.observed import Fault

OF_TOKENS = "token/"
"""What subjects of used tokens begin with."""
STORE_FAULT = "disk/images"
"""The subject while the image store cannot be used."""
LEAST_ROOM = 16 << 20
"""Bytes free on the disk of a state directory, below which it is said to be full."""


class Faults:
    """Faults on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._present: set[str] | None = None

    def record(self, subject: str, code: str, cause: str, at: datetime) -> None:
        """Note that something failed, again or for the first time."""
        table = schema.fault
        changes = {"code": code, "cause": cause, "at": at, "count": table.c.count + 1}
        with self._database.writing() as connection:
            connection.execute(
                upsert(table)
                .values(subject=subject, code=code, cause=cause, since=at, at=at, count=1)
                .on_conflict_do_update(index_elements=["subject"], set_=changes)
            )
        self._subjects().add(subject)

    def end(self, subject: str) -> None:
        """Note that it works; costs nothing where nothing was wrong."""
        if subject not in self._subjects():
            return
        with self._database.writing() as connection:
            connection.execute(delete(schema.fault).where(schema.fault.c.subject == subject))
        self._subjects().discard(subject)

    def forget(self) -> None:
        """Begin without faults, as a server does: what still fails will fail again.

        Not those of used tokens: they tell of strangers.
        """
        lasting = schema.fault.c.subject.startswith(OF_TOKENS, autoescape=True)
        with self._database.writing() as connection:
            connection.execute(delete(schema.fault).where(~lasting))
        self._present = None

    def present(self) -> tuple[Fault, ...]:
        """Return all faults, the oldest first."""
        table = schema.fault
        with self._database.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.since, table.c.subject))
            return tuple(Fault(*row) for row in rows)

    def _subjects(self) -> set[str]:
        if self._present is None:
            self._present = {fault.subject for fault in self.present()}
        return self._present


def without_room(state: Path, now: datetime) -> tuple[Fault, ...]:
    """Return a fault where the server has no room to record what happens, faults included."""
    if not state.exists() or (free := disk_usage(state).free) >= LEAST_ROOM:
        return ()
    cause = f"{free:,} bytes are free on the disk of {state}: what happens cannot be recorded"
    return (Fault("disk/state", "RW706", cause, since=now, at=now, times=1),)
