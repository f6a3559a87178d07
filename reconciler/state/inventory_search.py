"""Which machines have which packages: from names to items, from items to machines."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from sqlalchemy import func, select

from agent.wire.inventory import Row
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.inventory_codec import SHARED, bits_of, ids_of, row_from, unpack_bits

_ITEM = schema.inventory_item
_SECTION = schema.inventory_section


class Item(NamedTuple):
    """A version of a package, an application or a hotfix that some machine has, or had."""

    item_id: int
    section: str
    row: Row


def items_named(database: Database, pattern: str) -> list[Item]:
    """Return the items whose names match: ``*`` is any text, ``?`` any character, case is none."""
    glob = pattern.lower().replace("[", "[[]")
    query = select(_ITEM.c.id, _ITEM.c.section, _ITEM.c.row).where(
        func.lower(_ITEM.c.name).op("GLOB")(glob)
    )
    with database.reading() as connection:
        return [Item(row[0], row[1], row_from(row[2])) for row in connection.execute(query)]


def all_items(database: Database) -> dict[int, Item]:
    """Return every item by its id."""
    with database.reading() as connection:
        query = select(_ITEM.c.id, _ITEM.c.section, _ITEM.c.row)
        return {row[0]: Item(row[0], row[1], row_from(row[2])) for row in connection.execute(query)}


def hardware_with(
    database: Database, items: Collection[int], sections: Collection[str] = SHARED
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield each hardware that has some of the items, and which."""
    wanted = bits_of(items)
    query = select(_SECTION.c.hardware, _SECTION.c.body).where(_SECTION.c.section.in_(sections))
    with database.reading() as connection:
        for hardware, body in connection.execute(query):
            found = unpack_bits(body) & wanted
            if found:
                yield hardware, tuple(ids_of(found))
