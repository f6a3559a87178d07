"""Inventories on the state database: recording them, and reading those of one machine.

The server alone records and removes, one after the other: between looking for items that are
missing and recording what has them, none may be removed. Commands read.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.wire.inventory import Row, inventory_digest
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.inventory_codec import (
    SHARED,
    bits_of,
    ids_of,
    item_digest,
    pack_bits,
    pack_rows,
    row_from,
    row_text,
    unpack_bits,
    unpack_rows,
)
from reconciler.state.inventory_head import InventoryHead
from specs.fleet import CompiledMachine

ITEMS_AT_ONCE = 500
"""Items written or removed in one transaction: it holds up the event loop for milliseconds."""
_HEAD = schema.inventory
_SECTION = schema.inventory_section
_ITEM = schema.inventory_item
_KNOWN = text(
    "SELECT digest, id FROM inventory_item WHERE digest IN (SELECT value FROM json_each(:all))"
)
_ROWS = text("SELECT row FROM inventory_item WHERE id IN (SELECT value FROM json_each(:ids))")
"""A set of any size is one parameter of SQLite's as JSON."""
_BODY = select(_SECTION.c.body).where(
    _SECTION.c.hardware == bindparam("hardware"), _SECTION.c.section == bindparam("section")
)

Sections = Mapping[str, tuple[Row, ...] | None]
"""Rows by section; None for what is not known any more."""


_HEAD_COLUMNS = tuple(getattr(_HEAD.c, name) for name in InventoryHead._fields)


class Inventories:
    """The inventories of all hardware."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- reading -----------------------------------------------------------------

    def digests(self, hardware: str) -> dict[str, str]:
        """Return the digests of the sections that are kept of a hardware."""
        query = select(_HEAD.c.digests).where(_HEAD.c.hardware == hardware)
        with self._database.reading() as connection:
            found = connection.execute(query).scalar()
        return {} if found is None else json.loads(found)

    def rows(self, hardware: str, section: str) -> tuple[Row, ...] | None:
        """Return a section's rows, None where they are not known."""
        with self._database.reading() as connection:
            return _rows(connection, hardware, section)

    def sections(
        self, hardware: str, items: Mapping[int, Row] | None = None
    ) -> dict[str, tuple[Row, ...]]:
        """Return all that is known of a hardware; ``items`` where all were read before."""
        query = select(_SECTION.c.section, _SECTION.c.body).where(_SECTION.c.hardware == hardware)
        with self._database.reading() as connection:
            bodies = connection.execute(query).all()
            return {row.section: _unpacked(connection, *row, items) for row in bodies}

    def heads(self, hardware: Collection[str] | None = None) -> tuple[InventoryHead, ...]:
        """Return the heads of all inventories, or of these hardware, the newest last."""
        query = select(*_HEAD_COLUMNS).order_by(_HEAD.c.at)
        if hardware is not None:
            query = query.where(_HEAD.c.hardware.in_(hardware))
        with self._database.reading() as connection:
            return tuple(
                InventoryHead(row[0], tuple(row[1].split(" ")), *row[2:])
                for row in connection.execute(query)
            )

    # --- recording ---------------------------------------------------------------

    def still_so(self, machine: CompiledMachine, at: datetime) -> None:
        """Note that the inventory is as it was."""
        where = _HEAD.c.hardware == machine.hardware_identity
        values = {
            "at": at,
            "machine": machine.name,
            "identities": " ".join(machine.hardware_identities),
        }
        with self._database.writing() as connection:
            connection.execute(update(_HEAD).where(where).values(**values))

    def unknown_items(self, sections: Sections) -> list[tuple[str, Row]]:
        """Return what no inventory had until now, of sections that are shared."""
        wanted = {
            item_digest(name, row_text(row)): (name, row)
            for name in SHARED
            for row in sections.get(name) or ()
        }
        with self._database.reading() as connection:
            known = _known(connection, wanted)
        return [each for digest, each in wanted.items() if digest not in known]

    def add_items(self, items: Iterable[tuple[str, Row]]) -> None:
        """Note some of what no inventory had until now: ``ITEMS_AT_ONCE`` at most."""
        values = []
        for section, row in islice(items, ITEMS_AT_ONCE):
            kept = row_text(row)
            digest = item_digest(section, kept)
            values.append({"digest": digest, "section": section, "name": row[0], "row": kept})
        if not values:
            return
        with self._database.writing() as connection:
            connection.execute(upsert(_ITEM).on_conflict_do_nothing(), values)

    def record(
        self,
        machine: CompiledMachine,
        sections: Sections,
        digests: Mapping[str, str],
        at: datetime,
    ) -> None:
        """Keep sections that changed; ``digests`` are those of all. Their items are there.

        What the machine's hardware had under other identities goes.
        """
        hardware = machine.hardware_identity
        with self._database.writing() as connection:
            others = [each for each in machine.hardware_identities if each != hardware]
            connection.execute(delete(_SECTION).where(_SECTION.c.hardware.in_(others)))
            connection.execute(delete(_HEAD).where(_HEAD.c.hardware.in_(others)))
            bodies = {
                name: _body(connection, name, rows)
                for name, rows in sections.items()
                if rows is not None
            }
            values = {
                "identities": " ".join(machine.hardware_identities),
                "machine": machine.name,
                "at": at,
                "digest": inventory_digest(digests),
                "digests": json.dumps(digests),
                **_shown(sections),
            }
            new = {"os_id": "", "os_version": "", "os_name": "", **values}
            connection.execute(
                upsert(_HEAD)
                .values(hardware=hardware, **new)
                .on_conflict_do_update(index_elements=["hardware"], set_=values)
            )
            connection.execute(
                delete(_SECTION).where(
                    _SECTION.c.hardware == hardware, _SECTION.c.section.not_in(list(digests))
                )
            )
            for name, body in bodies.items():
                key = {"hardware": hardware, "section": name}
                connection.execute(
                    upsert(_SECTION)
                    .values(**key, body=body)
                    .on_conflict_do_update(index_elements=list(key), set_={"body": body})
                )

    # --- removing what no machine has any more --------------------------------------

    def unused(self) -> tuple[int, ...]:
        """Return the items that no inventory has, in order. It takes a second for a large fleet."""
        used = 0
        query = select(_SECTION.c.body).where(_SECTION.c.section.in_(SHARED))
        with self._database.reading() as connection:
            for body in connection.execute(query).scalars():
                used |= unpack_bits(body)
            all_bits = bits_of(connection.execute(select(_ITEM.c.id)).scalars())
        return tuple(ids_of(all_bits & ~used))

    def remove(self, ids: Collection[int]) -> None:
        """Remove items: ``ITEMS_AT_ONCE`` at most."""
        with self._database.writing() as connection:
            connection.execute(delete(_ITEM).where(_ITEM.c.id.in_(ids)))


def _known(connection: Connection, digests: Iterable[str]) -> dict[str, int]:
    asked = json.dumps(list(digests))
    return {row.digest: row.id for row in connection.execute(_KNOWN, {"all": asked})}


def _body(connection: Connection, section: str, rows: tuple[Row, ...]) -> bytes:
    if section not in SHARED:
        return pack_rows(rows)
    wanted = [item_digest(section, row_text(row)) for row in rows]
    known = _known(connection, wanted)
    return pack_bits(bits_of(known[each] for each in wanted))


def _rows(connection: Connection, hardware: str, section: str) -> tuple[Row, ...] | None:
    asked = {"hardware": hardware, "section": section}
    body = connection.execute(_BODY, asked).scalar()
    return None if body is None else _unpacked(connection, section, body)


def _unpacked(
    connection: Connection, section: str, body: bytes, items: Mapping[int, Row] | None = None
) -> tuple[Row, ...]:
    if section not in SHARED:
        return unpack_rows(body)
    ids = list(ids_of(unpack_bits(body)))
    if items is not None:
        return tuple(sorted(items[each] for each in ids))
    found = connection.execute(_ROWS, {"ids": json.dumps(ids)}).scalars()
    return tuple(sorted(map(row_from, found)))


def _shown(sections: Sections) -> dict[str, Any]:
    """Return the columns that lists show, of the sections that changed."""
    shown: dict[str, Any] = {}
    if "system" in sections:
        (row,) = sections["system"] or (("", "", ""),)
        shown.update(zip(("os_id", "os_version", "os_name"), row, strict=False))
    for name in ("packages", "updates"):
        if name in sections:
            rows = sections[name]
            shown[name] = None if rows is None else len(rows)
    if "reboot" in sections:
        reasons = sections["reboot"]
        shown["restart"] = None if reasons is None else bool(reasons)
    return shown
