"""Machines that asked for a boot and are in no document."""

from collections.abc import Iterable

from sqlalchemy import select

from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.observed import Sighting


def sightings(database: Database, known: Iterable[str]) -> tuple[Sighting, ...]:
    """Return one sighting for each MAC that is none of ``known``, the newest first."""
    table = schema.boot_event
    ignored = {*known, ""}
    found: dict[str, Sighting] = {}
    uuids: dict[str, str] = {}
    with database.reading() as connection:
        rows = connection.execute(
            select(table.c.mac, table.c.uuid, table.c.source, table.c.at)
            .where(table.c.firmware_boot)
            .order_by(table.c.sequence)
        )
        for row in rows:
            if row.mac in ignored:
                continue
            if row.uuid:
                uuids[row.mac] = row.uuid
            found.pop(row.mac, None)
            found[row.mac] = Sighting(row.mac, uuids.get(row.mac, ""), row.source, row.at)
    return tuple(reversed(found.values()))
