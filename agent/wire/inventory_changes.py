"""From one inventory to the next: what changed, and the next one from that. Pure."""

from collections.abc import Callable, Mapping

from agent.wire.codec import WireError
from agent.wire.inventory import (
    SECTIONS,
    Entry,
    Inventory,
    InventoryReport,
    Key,
    Row,
    SectionChanges,
    entry_of,
    inventory_digest,
    key_of,
    made_of,
    row_of,
    section_digest,
)

_DIGEST_LENGTH = 64


def rows_of(inventory: Inventory) -> dict[str, tuple[Row, ...]]:
    """Return the rows of each section."""
    return {name: tuple([row_of(each) for each in inventory[name]]) for name in inventory}


def digest_of(inventory: Inventory) -> str:
    """Return an inventory's digest."""
    return inventory_digest(
        {name: section_digest(rows) for name, rows in rows_of(inventory).items()}
    )


def changes_since(before: Inventory, after: Inventory) -> InventoryReport:
    """Return what leads from one inventory to another; from an empty one, all of it."""
    old, new = rows_of(before), rows_of(after)
    digests = {name: section_digest(rows) for name, rows in new.items()}
    changes = []
    for name in SECTIONS:
        if name in new and new[name] != old.get(name):
            changes.append(_changes(name, old.get(name), new[name], digests[name]))
        elif name in old and name not in new:
            changes.append(SectionChanges(name, "", whole=False))
    base = digest_of(before) if before else ""
    return InventoryReport(base, inventory_digest(digests), tuple(changes))


def _changes(
    section: str, before: tuple[Row, ...] | None, after: tuple[Row, ...], digest: str
) -> SectionChanges:
    if before is None:
        return SectionChanges(section, digest, whole=True, put=after)
    count = SECTIONS[section].key
    known = set(before)
    kept = {row[:count] for row in after}
    put = tuple([row for row in after if row not in known])
    drop = tuple([row[:count] for row in before if row[:count] not in kept])
    if len(put) + len(drop) >= len(after):
        return SectionChanges(section, digest, whole=True, put=after)
    return SectionChanges(section, digest, whole=False, put=put, drop=drop)


def sections_after(
    changes: tuple[SectionChanges, ...], stored: Callable[[str], tuple[Row, ...] | None]
) -> dict[str, tuple[Row, ...] | None]:
    """Return the sections that changed as they are afterwards, None for what is not known any more.

    ``stored`` returns a section as it was, None where it was not known. WireError where the
    message is not valid, or does not lead to the digest that it names.
    """
    found: dict[str, tuple[Row, ...] | None] = {}
    for change in changes:
        name = change.section
        if name not in SECTIONS or name in found:
            raise WireError(f"{name[:40]!r} is no section, or there twice")
        found[name] = _after(change, stored) if change.digest else None
    return found


def _after(
    change: SectionChanges, stored: Callable[[str], tuple[Row, ...] | None]
) -> tuple[Row, ...]:
    name = change.section
    kind = SECTIONS[name]
    put = [row_of(entry_of(name, row)) for row in change.put]
    drop = [key_of(name, key) for key in change.drop]
    rows: dict[Key, Row] = {}
    if not change.whole:
        before = stored(name)
        if before is None:
            raise WireError(f"{name}: there is nothing that it could change")
        rows = {row[: kind.key]: row for row in before}
    for key in drop:
        rows.pop(key, None)
    rows.update({row[: kind.key]: row for row in put})
    if len(rows) > kind.most:
        raise WireError(f"{name}: it has more than {kind.most} entries")
    after = tuple([rows[key] for key in sorted(rows)])
    if section_digest(after) != change.digest:
        raise WireError(f"{name}: its entries are not those that its digest is of")
    return after


def digests_after(before: Mapping[str, str], changes: tuple[SectionChanges, ...]) -> dict[str, str]:
    """Return the digests of all sections after a change."""
    digests = dict(before)
    for change in changes:
        if change.digest:
            digests[change.section] = change.digest
        else:
            digests.pop(change.section, None)
    return digests


def is_digest(text: str) -> bool:
    """Return whether a text may be a digest."""
    return len(text) == _DIGEST_LENGTH and all(each in "0123456789abcdef" for each in text)


def entries_of(section: str, rows: tuple[Row, ...]) -> tuple[Entry, ...]:
    """Return the entries of rows that were checked before."""
    return tuple([made_of(section, row) for row in rows])
