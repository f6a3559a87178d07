"""What installed systems call their own: host name, machine-id, SSH host keys, addresses.

No two may have the same. A row for each leads from it to the hardware that reports it, so
that the others are found without looking at every machine.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection, Select, delete, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.wire.report import InstalledSystem
from reconciler.state import schema
from reconciler.state.database import Database

IdentityKind = Literal["host-name", "machine-id", "ssh-host-key", "address"]
MOST_ADDRESSES = 256
"""Addresses of one machine that are compared."""
_AT_ONCE = 500
"""Values of one query: SQLite takes at least 999."""


class Identity(NamedTuple):
    """Something that a system calls its own."""

    kind: IdentityKind
    value: str

    @property
    def key(self) -> str:
        """Return it as the database has it."""
        return f"{self.kind} {self.value}"


class ReportedIdentity(NamedTuple):
    """Who reports an identity."""

    identity: Identity
    hardware: tuple[str, ...]
    """All that the hardware is known by."""
    since: datetime
    """When it first was in the reports that have had it ever since."""
    heard_at: datetime
    """When the newest report came."""


def identities_of(system: InstalledSystem | None) -> frozenset[Identity]:
    """Return what a system calls its own; what an agent could not read is left out."""
    if system is None:
        return frozenset()
    found = [Identity("ssh-host-key", key) for key in system.ssh_host_keys]
    found += [
        Identity("address", address.partition("/")[0])
        for address in system.addresses[:MOST_ADDRESSES]
    ]
    if system.hostname:
        found.append(Identity("host-name", system.hostname.casefold()))
    if system.machine_id:
        found.append(Identity("machine-id", system.machine_id))
    return frozenset(found)


def record_identities(
    connection: Connection, hardware: str, system: InstalledSystem | None, at: datetime
) -> None:
    """Keep what hardware reports now, and since when: most reports change nothing."""
    table = schema.reported_identity
    said = {identity.key for identity in identities_of(system)}
    known = set(
        connection.execute(select(table.c.identity).where(table.c.hardware == hardware)).scalars()
    )
    for gone in sorted(known - said):
        connection.execute(
            delete(table).where(table.c.hardware == hardware, table.c.identity == gone)
        )
    new = [{"hardware": hardware, "identity": key, "since": at} for key in sorted(said - known)]
    if new:
        connection.execute(upsert(table), new)


class ReportedIdentities:
    """Who reports what, on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_hardware(self, hardware: Collection[str]) -> tuple[Identity, ...]:
        """Return what hardware reports that is known by any of these identities."""
        table, known = schema.reported_identity, schema.observed_identity
        found: set[str] = set()
        with self._database.reading() as connection:
            for some in _parts(hardware):
                mine = select(known.c.hardware).where(known.c.identity.in_(some))
                query = select(table.c.identity).where(table.c.hardware.in_(mine))
                found.update(connection.execute(query).scalars())
        return tuple(map(_identity, sorted(found)))

    def reporters(self, identities: Iterable[Identity]) -> tuple[ReportedIdentity, ...]:
        """Return who reports any of these."""
        found: list[ReportedIdentity] = []
        with self._database.reading() as connection:
            for some in _parts([each.key for each in identities]):
                query = _reported().where(schema.reported_identity.c.identity.in_(some))
                found += _read(connection, query)
        return tuple(found)

    def machine_ids(self) -> tuple[ReportedIdentity, ...]:
        """Return who reports which machine-id, of the whole fleet."""
        query = _reported().where(schema.reported_identity.c.identity.startswith("machine-id "))
        with self._database.reading() as connection:
            return tuple(_read(connection, query))

    def repeated(self) -> tuple[ReportedIdentity, ...]:
        """Return who reports what others report too, of the whole fleet."""
        table = schema.reported_identity
        several = select(table.c.identity).group_by(table.c.identity).having(func.count() > 1)
        with self._database.reading() as connection:
            return tuple(_read(connection, _reported().where(table.c.identity.in_(several))))


def _parts(values: Collection[str]) -> Iterable[list[str]]:
    ordered = sorted(values)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))


def _reported() -> "Select[str, str, datetime, datetime]":
    table, machine = schema.reported_identity, schema.machine_observation
    return (
        select(table.c.identity, machine.c.identities, table.c.since, machine.c.installed_at)
        .join(machine, machine.c.hardware == table.c.hardware)
        .where(machine.c.installed_at.is_not(None))
    )


def _read(
    connection: Connection, query: "Select[str, str, datetime, datetime]"
) -> Iterable[ReportedIdentity]:
    for key, hardware, since, heard_at in connection.execute(query):
        yield ReportedIdentity(_identity(key), tuple(hardware.split(" ")), since, heard_at)


def _identity(key: str) -> Identity:
    kind, _, value = key.partition(" ")
    return Identity(kind, value)  # type: ignore[arg-type] # only such kinds are written
