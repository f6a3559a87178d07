"""Who holds the reboot semaphore, on the state database.

A machine that updates itself takes it before it restarts and gives it back once it is up again.
Rows are kept for a while after that: budgets that count beginnings of an hour count them too.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.work_begun import Impact, WorkBegun

_KEPT = timedelta(days=90)
_TABLE = schema.reboot_lock


class RebootLock(NamedTuple):
    """A machine may restart by itself."""

    client: str
    """What the machine calls itself in the protocol."""
    group: str
    """The group that it named: ``default`` or one of its own."""
    machine: str
    """Its name when it took the lock."""
    hardware: str
    identities: tuple[str, ...]
    """All that its hardware was known by then."""
    address: str
    """Where the request came from."""
    since: datetime

    @property
    def work(self) -> WorkBegun:
        """Return it as budgets count it: work that interrupts the machine's service."""
        return WorkBegun(
            op_id=work_id(self.hardware),
            at=self.since,
            impact=Impact.DISRUPTIVE,
            hardware=self.hardware,
            identities=self.identities,
            scenario="",
            kind="inspect",
        )


def work_id(hardware: str) -> str:
    """Return what tells a lock from operations where work is counted: one for each hardware."""
    return f"reboot-lock/{hardware}"


_COLUMNS = tuple(_TABLE.c[name] for name in RebootLock._fields)


class RebootLocks:
    """Takes, lists and releases locks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def held(self) -> tuple[RebootLock, ...]:
        """Return the locks that are held, oldest first."""
        query = select(*_COLUMNS).where(_TABLE.c.released_at.is_(None)).order_by(_TABLE.c.sequence)
        with self._database.reading() as connection:
            return tuple(map(_lock, connection.execute(query)))

    def take(self, lock: RebootLock) -> None:
        """Keep that a machine holds it; what its hardware held before ends with that."""
        row = {**lock._asdict(), "identities": " ".join(lock.identities)}
        mine = _TABLE.c.hardware == lock.hardware
        with self._database.writing() as connection:
            _release(connection, mine, lock.since, lock.machine, "it asked anew")
            connection.execute(insert(_TABLE).values(row))
            old = _TABLE.c.released_at < lock.since - _KEPT
            connection.execute(delete(_TABLE).where(old))

    def release(
        self, client: str, hardware: Collection[str], at: datetime, by: str, reason: str
    ) -> int:
        """Keep that a client, or its machine, holds it no more; return how many locks ended."""
        mine = or_(_TABLE.c.client == client, _TABLE.c.hardware.in_(list(hardware)))
        with self._database.writing() as connection:
            return _release(connection, mine, at, by, reason)


def _release(connection: Connection, which: "object", at: datetime, by: str, reason: str) -> int:
    values = {"released_at": at, "released_by": by, "reason": reason}
    query = update(_TABLE).where(which, _TABLE.c.released_at.is_(None)).values(values)  # type: ignore[arg-type]
    return connection.execute(query).rowcount


def _lock(row: tuple[str, ...]) -> RebootLock:
    found = RebootLock(*row)  # type: ignore[arg-type] # as the columns are
    return found._replace(identities=tuple(str(found.identities).split(" ")))


def locks_begun(connection: Connection, since: datetime) -> tuple[WorkBegun, ...]:
    """Return locks as budgets count them: taken from ``since`` on, or held still."""
    query = select(*_COLUMNS, _TABLE.c.released_at).where(
        or_(_TABLE.c.since >= since, _TABLE.c.released_at.is_(None))
    )
    return tuple(
        _lock(tuple(row[:-1])).work._replace(at_work=row[-1] is None)
        for row in connection.execute(query.order_by(_TABLE.c.sequence))
    )
