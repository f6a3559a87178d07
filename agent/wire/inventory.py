"""What is installed on a machine and how it runs: body of ``POST /v1/inventory``.

An inventory has sections, each a set of entries; a section that is absent is not known. The
first message has all of it. Later ones have what changed since the inventory that the server
acknowledged (``agent.wire.inventory_changes``); a server that does not have that one asks for
all of it.

Entries travel as rows, the values of their fields in order. A section's digest is that of its
rows, the inventory's that of its sections' digests.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from attrs import fields, frozen

from agent.wire.codec import WireError, decode, encode

LONGEST_TEXT = 1000
"""Characters of one value."""
MOST_PACKED = 2 << 20
"""Bytes of a message, compressed."""
MOST_UNPACKED = 8 << 20
"""Bytes of a message, unpacked."""
_LEVEL = 6


@frozen
class System:
    """The operating system and what it runs on; a section with one entry.

    Times are ISO 8601 in UTC, by the machine's clock.
    """

    os_id: str
    """ID of os-release; ``windows`` on Windows."""
    os_version: str
    """VERSION_ID of os-release; the build on Windows."""
    os_name: str
    service_pack: str
    kernel: str
    architecture: str
    """Of the kernel, as uname(2) says it."""
    firmware_vendor: str
    firmware_version: str
    firmware_date: str
    booted: str
    updates_checked: str
    """When it was last asked which updates there are; empty where that is not known."""


@frozen
class Package:
    """A package of the system's package manager."""

    name: str
    architecture: str
    version: str
    """With epoch and release, as the package manager compares it."""
    source: str
    source_version: str
    origin: str
    """Who made it, where the package says so."""
    format: str
    """``deb`` or ``rpm``."""


@frozen
class Update:
    """A newer version of an installed package that the package manager knows of."""

    name: str
    architecture: str
    installed: str
    available: str
    origin: str
    """The repository."""
    held: bool
    """Whether an administrator keeps the installed version."""


@frozen
class ServiceUnit:
    """A service of the init system."""

    name: str
    active: str
    """``active``, ``inactive``, ``failed`` and so on, as systemd says."""
    enabled: str
    """``enabled``, ``disabled``, ``static`` and so on; empty where it has no file."""


@frozen
class UserSession:
    """Somebody who is logged in."""

    session: str
    user: str
    terminal: str
    since: str
    """ISO 8601 in UTC."""
    host: str
    """From where; empty at the machine itself."""


@frozen
class DiskHealth:
    """What a disk says of its own health (SMART); -1 is not known."""

    node: str
    model: str
    serial: str
    size: int
    """Bytes."""
    health: str
    """``passed``, ``failed``, or empty where it does not say."""
    hours: int
    """Switched on."""
    defects: int
    """Sectors that were replaced (ATA), media errors (NVMe), defects since it was made (SCSI)."""
    worn: int
    """Per cent of the life of its cells (NVMe)."""


@frozen
class RebootReason:
    """Why the system waits for a restart; without entries it does not."""

    reason: str


@frozen
class Hotfix:
    """A correction that was added to a Windows system."""

    name: str
    description: str
    installed: str
    """ISO 8601."""


@frozen
class Application:
    """A program of Windows that has an uninstaller."""

    name: str
    version: str
    publisher: str
    installed: str
    """ISO 8601; empty where it does not say."""
    architecture: str


@frozen
class InventoryProblem:
    """What could not be read, in words with a code."""

    text: str


Entry = (
    System
    | Package
    | Update
    | ServiceUnit
    | UserSession
    | DiskHealth
    | RebootReason
    | Hotfix
    | Application
    | InventoryProblem
)


class SectionKind(NamedTuple):
    """What a section is made of."""

    entry: type[Any]
    key: int
    """How many of an entry's first fields tell it from all others of its section."""
    most: int
    """Entries that it may have."""


SECTIONS: dict[str, SectionKind] = {
    "system": SectionKind(System, 0, 1),
    "packages": SectionKind(Package, 3, 20_000),  # of kernels several versions are installed
    "updates": SectionKind(Update, 3, 20_000),
    "services": SectionKind(ServiceUnit, 1, 5_000),
    "users": SectionKind(UserSession, 1, 2_000),
    "disks": SectionKind(DiskHealth, 1, 1_000),
    "reboot": SectionKind(RebootReason, 1, 200),
    "hotfixes": SectionKind(Hotfix, 1, 5_000),
    "applications": SectionKind(Application, 5, 5_000),
    "problems": SectionKind(InventoryProblem, 1, 50),
}

Value = str | int | bool
Row = tuple[Value, ...]
Key = tuple[Value, ...]
Inventory = Mapping[str, tuple[Entry, ...]]
"""Entries by section, each in the order of its keys."""


@frozen
class SectionChanges:
    """What became of one section. Without ``digest`` it is not known any more."""

    section: str
    digest: str
    whole: bool
    """Whether ``put`` is all of it."""
    put: tuple[Any, ...] = ()
    """Rows that are new or changed."""
    drop: tuple[Any, ...] = ()
    """Keys of rows that are gone."""


@frozen
class InventoryReport:
    """An inventory, or what changed since another one."""

    base: str
    """Digest of the inventory that it starts from; empty for none."""
    digest: str
    """Digest of the inventory that it leads to."""
    changes: tuple[SectionChanges, ...] = ()


@frozen
class InventoryAnswer:
    """Which inventory the server has now; empty where it asks for all of it."""

    digest: str


_NAMES = {
    each.entry: tuple(field.name for field in fields(each.entry)) for each in SECTIONS.values()
}
_TYPES = {
    each.entry: tuple(field.type for field in fields(each.entry)) for each in SECTIONS.values()
}


def row_of(entry: Entry) -> Row:
    """Return the values of an entry's fields, in order."""
    return tuple([getattr(entry, name) for name in _NAMES[type(entry)]])


def entry_of(section: str, row: object) -> Entry:
    """Return the entry that a row holds; WireError where it holds none of this section."""
    kind = SECTIONS[section].entry
    types = _TYPES[kind]
    if not isinstance(row, (list, tuple)) or len(row) != len(types):
        raise WireError(f"{section}: a row has not {len(types)} values")
    for value, wanted in zip(row, types, strict=True):
        _check(section, value, wanted)
    return made_of(section, row)


def made_of(section: str, row: Iterable[Value]) -> Entry:
    """Return the entry of a row that was checked before."""
    entry: Entry = SECTIONS[section].entry(*row)
    return entry


def key_of(section: str, row: object) -> Key:
    """Return a key; WireError where it is none of this section."""
    kind = SECTIONS[section]
    types = _TYPES[kind.entry][: kind.key]
    if not isinstance(row, (list, tuple)) or len(row) != len(types):
        raise WireError(f"{section}: a key has not {len(types)} values")
    for value, wanted in zip(row, types, strict=True):
        _check(section, value, wanted)
    return tuple(row)


def _check(section: str, value: object, wanted: type[Any]) -> None:
    if type(value) is not wanted:
        raise WireError(f"{section}: a value is of type {type(value).__name__}")
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise WireError(f"{section}: a text has more than {LONGEST_TEXT} characters")
        if not value.isprintable():
            raise WireError(f"{section}: a text has characters that cannot be printed")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise WireError(f"{section}: a number does not fit 64 bits")


def printable(text: str) -> str:
    """Return a text as an entry may have it: without control characters, and not too long."""
    text = text[: 2 * LONGEST_TEXT]
    if not text.isprintable():
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text[:LONGEST_TEXT]


def ordered(section: str, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries in the order of their keys, one for each key, as many as may be."""
    kind = SECTIONS[section]
    names = _NAMES[kind.entry][: kind.key]
    by_key = {tuple([getattr(each, name) for name in names]): each for each in entries}
    return tuple([by_key[key] for key in sorted(by_key)][: kind.most])


def section_digest(rows: Iterable[Row]) -> str:
    """Return the digest of a section's rows, which are in the order of their keys."""
    text = json.dumps(list(rows), separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()


def inventory_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of an inventory, by those of its sections."""
    return section_digest(sorted(digests.items()))


def pack(report: InventoryReport) -> bytes:
    """Return a message as it travels: JSON, compressed as gzip does (RFC 1952)."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(encode(report)) + packer.flush()


def unpack(data: bytes) -> InventoryReport:
    """Return the message; WireError where it is none, or larger than it may be."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(data, MOST_UNPACKED)
    except zlib.error as error:
        raise WireError(f"it is not compressed as it should be: {error}") from error
    if not unpacker.eof:
        raise WireError(f"it breaks off, or has more than {MOST_UNPACKED} bytes")
    return decode(InventoryReport, text)
