"""Partition tables as they lie on a disk: MBR with logical partitions, GPT. Pure.

Read here and not through a tool, because an image must also keep what no tool
lists: the sectors that the tables themselves take.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import evolve, frozen

from agent.imaging import gpt
from agent.imaging.extent import Extent

Reader = Callable[[int, int], bytes]
"""``read(offset, length)`` in bytes of the disk; returns exactly that many."""

EXTENDED_TYPES = frozenset((0x05, 0x0F, 0x85))
MBR_ESP_TYPE = "0xef"

_MAX_LOGICAL = 256


class TableError(ValueError):
    """The partition table contradicts itself; the text says how."""


@frozen
class Slot:
    """One partition that holds data (an extended partition does not). Bytes."""

    number: int
    extent: Extent
    type: str
    """GPT type GUID in lower case, or the MBR type byte as ``0x83``."""
    uuid: str
    """PARTUUID as Linux shows it."""


@frozen
class Region:
    """Sectors that a partition table takes, with their bytes.

    ``kind`` is ``boot-sector``, ``gpt-header``, ``gpt-entries``,
    ``gpt-backup-entries``, ``gpt-backup-header`` or ``ebr``.
    """

    kind: str
    offset: int
    raw: bytes

    @property
    def extent(self) -> Extent:
        """Where it lies."""
        return Extent(self.offset, len(self.raw))


@frozen
class Table:
    """``kind`` is ``gpt``, ``mbr`` or ``none``. Slots and regions are in disk order."""

    kind: str
    slots: tuple[Slot, ...]
    regions: tuple[Region, ...]


@frozen
class _Entry:
    """One of the four entries of an MBR or EBR. Sectors."""

    flag: int
    type: int
    start: int
    sectors: int


def read_table(read: Reader, size: int, sector_size: int) -> Table:
    """Return the partition table of a disk of ``size`` bytes.

    A boot sector without a table, as a file system on the whole disk has, is kind
    ``none``. Raises TableError when there is a table that contradicts itself.
    """
    first = read(0, sector_size)
    boot_sector = Region("boot-sector", 0, first)
    entries = _entries(first)
    if any(entry.type == gpt.PROTECTIVE_TYPE for entry in entries):
        try:
            slots, regions = _read_gpt(read, size, sector_size)
        except gpt.GptError as error:
            backup = _intact_backup(read, size, sector_size)
            raise TableError(f"{error}{backup}") from error
        table = Table("gpt", slots, (boot_sector, *regions))
    elif not _plausible(entries, size // sector_size):
        return Table("none", (), (boot_sector,))
    else:
        slots, regions = _read_mbr(read, size, sector_size, first, entries)
        table = Table("mbr", slots, (boot_sector, *regions))
    _refuse_contradictions(table, size)
    return table


def resized_primary(boot_sector: bytes, number: int, sectors: int) -> bytes:
    """Return an MBR whose primary partition ``number`` has so many sectors.

    Its end by cylinder, head and sector becomes the one that means "too large for that".
    """
    return _resized(boot_sector, number - 1, sectors)


def resized_logical(
    regions: Sequence[Region], start: int, end: int, sector_size: int
) -> tuple[Region, ...]:
    """Return the sectors that change when the logical partition at ``start`` ends at ``end``.

    ``regions`` are those of an MBR; bytes. What changes is the partition's own record, the record
    before it, which says how far the next one reaches, and the boot sector, where the
    extended partition ends before ``end``. Raises TableError where no record has the partition.
    """
    boot_sector = regions[0]
    records = {region.offset: region for region in regions if region.kind == "ebr"}
    for place, entry in _placed(boot_sector.raw):
        if entry.type not in EXTENDED_TYPES:
            continue
        base = entry.start * sector_size
        chain = list(_chain(records, base, sector_size))
        for before, own in zip((None, *chain), chain, strict=False):
            data = _first(own.raw, extended=False)
            if data is None or own.offset + data[1].start * sector_size != start:
                continue
            changed = [evolve(own, raw=_resized(own.raw, data[0], (end - start) // sector_size))]
            if before and (link := _first(before.raw, extended=True)):
                changed.append(_reaching(before, link, (end - own.offset) // sector_size))
            changed.append(_reaching(boot_sector, (place, entry), (end - base) // sector_size))
            return tuple(sorted(changed, key=lambda region: region.offset))
    raise TableError(f"no extended boot record has the partition at {start}")


def _chain(records: Mapping[int, Region], base: int, sector_size: int) -> Iterator[Region]:
    """Yield the extended boot records of one extended partition in the chain's order."""
    left = dict(records)
    position = base
    while record := left.pop(position, None):
        yield record
        link = _first(record.raw, extended=True)
        if link is None:
            return
        position = base + link[1].start * sector_size


def _first(sector: bytes, *, extended: bool) -> tuple[int, "_Entry"] | None:
    """Return the first entry that is an extended one, or the first that is none; and its place."""
    found = (each for each in _placed(sector) if (each[1].type in EXTENDED_TYPES) == extended)
    return next(found, None)


def _placed(sector: bytes) -> Iterator[tuple[int, "_Entry"]]:
    """Yield the used entries with their places in the table, from 0."""
    return ((number - 1, entry) for number, entry in _numbered(sector, _entries(sector)))


def _reaching(region: Region, placed: tuple[int, "_Entry"], sectors: int) -> Region:
    """Return a region whose entry has at least so many sectors."""
    place, entry = placed
    if entry.sectors >= sectors:
        return region
    return evolve(region, raw=_resized(region.raw, place, sectors))


def _resized(sector: bytes, place: int, sectors: int) -> bytes:
    result = bytearray(sector)
    entry = 446 + 16 * place
    result[entry + 5 : entry + 8] = b"\xfe\xff\xff"
    struct.pack_into("<I", result, entry + 12, sectors)
    return bytes(result)


def moved_primary(boot_sector: bytes, number: int, start: int, sectors: int) -> bytes:
    """Return an MBR whose primary partition ``number`` has this first sector and so many.

    Its places by cylinder, head and sector become those that mean "too large for that".
    """
    result = bytearray(resized_primary(boot_sector, number, sectors))
    entry = 446 + 16 * (number - 1)
    result[entry + 1 : entry + 4] = b"\xfe\xff\xff"
    struct.pack_into("<I", result, entry + 8, start)
    return bytes(result)


def primaries(boot_sector: bytes, sector_size: int) -> tuple[tuple[int, int, Extent], ...]:
    """Return number, type and place of each used entry of an MBR, extended partitions too."""
    return tuple(
        (number, entry.type, Extent(entry.start * sector_size, entry.sectors * sector_size))
        for number, entry in _numbered(boot_sector, _entries(boot_sector))
    )


def _entries(sector: bytes) -> tuple[_Entry, ...]:
    if sector[510:512] != b"\x55\xaa":
        return ()
    return tuple(
        _Entry(flag, kind, start, sectors)
        for flag, kind, start, sectors in struct.iter_unpack("<B3xB3xII", sector[446:510])
        if kind
    )


def _plausible(entries: tuple[_Entry, ...], disk_sectors: int) -> bool:
    """Whether these are partitions and not the boot code of a file system.

    A FAT or NTFS boot sector carries the same signature with code or zeros where
    a table has its entries.
    """
    return bool(entries) and all(
        entry.flag in (0x00, 0x80)
        and entry.sectors > 0
        and 0 < entry.start < entry.start + entry.sectors <= disk_sectors
        for entry in entries
    )


def _read_gpt(
    read: Reader, size: int, sector_size: int
) -> tuple[tuple[Slot, ...], tuple[Region, ...]]:
    header = gpt.parse_header(read(sector_size, sector_size), 1)
    array = _read_entries(read, size, sector_size, header)
    entries = gpt.parse_entries(header, array)
    regions = [
        Region("gpt-header", sector_size, header.raw),
        Region("gpt-entries", header.entries * sector_size, array),
    ]
    regions.extend(_read_backup(read, size, sector_size, header))
    slots = tuple(
        Slot(
            entry.number,
            Extent(entry.first * sector_size, (entry.last - entry.first + 1) * sector_size),
            entry.type,
            entry.uuid,
        )
        for entry in sorted(entries, key=lambda entry: entry.first)
    )
    return slots, tuple(sorted(regions, key=lambda region: region.offset))


def _read_entries(read: Reader, size: int, sector_size: int, header: gpt.GptHeader) -> bytes:
    offset = header.entries * sector_size
    length = header.entries_sectors(sector_size) * sector_size
    if offset + length > size:
        raise gpt.GptError(f"the GPT entries at LBA {header.entries} lie outside the disk")
    return read(offset, length)


def _read_backup(
    read: Reader, size: int, sector_size: int, header: gpt.GptHeader
) -> Iterator[Region]:
    """Yield the backup's sectors; nothing where the backup is damaged.

    A damaged backup is no reason to refuse the disk: it boots without one.
    """
    offset = header.alternate * sector_size
    if offset + sector_size > size:
        return
    try:
        backup = gpt.parse_header(read(offset, sector_size), header.alternate)
        array = _read_entries(read, size, sector_size, backup)
        gpt.parse_entries(backup, array)
    except gpt.GptError:
        return
    yield Region("gpt-backup-entries", backup.entries * sector_size, array)
    yield Region("gpt-backup-header", offset, backup.raw)


def _intact_backup(read: Reader, size: int, sector_size: int) -> str:
    """Return what is to be said of the backup beside a damaged GPT; empty where it is no help.

    It is not read in place of the primary: Linux shows no partitions on such a disk, and
    nobody knows what damaged it.
    """
    last = size // sector_size - 1
    try:
        backup = gpt.parse_header(read(last * sector_size, sector_size), last)
        gpt.parse_entries(backup, _read_entries(read, size, sector_size, backup))
    except gpt.GptError:
        return ""
    return f"; the backup at LBA {last} is intact, repair the table from it (gdisk or sgdisk)"


def _read_mbr(
    read: Reader, size: int, sector_size: int, first: bytes, entries: tuple[_Entry, ...]
) -> tuple[tuple[Slot, ...], tuple[Region, ...]]:
    signature = struct.unpack_from("<I", first, 440)[0]
    slots: list[Slot] = []
    regions: list[Region] = []
    logical = 5
    for number, entry in _numbered(first, entries):
        if entry.type in EXTENDED_TYPES:
            for ebr, found in _read_chain(read, size, sector_size, entry.start):
                regions.append(ebr)
                if found:
                    slots.append(_slot(logical, found, sector_size, signature))
                    logical += 1
        else:
            slots.append(_slot(number, entry, sector_size, signature))
    return (
        tuple(sorted(slots, key=lambda slot: slot.extent)),
        tuple(sorted(regions, key=lambda region: region.offset)),
    )


def _numbered(sector: bytes, entries: tuple[_Entry, ...]) -> Iterator[tuple[int, _Entry]]:
    """Yield the used entries with the numbers of their places in the table."""
    places = [index + 1 for index in range(4) if sector[446 + 16 * index + 4]]
    return iter(zip(places, entries, strict=True))


def _read_chain(
    read: Reader, size: int, sector_size: int, base: int
) -> Iterator[tuple[Region, _Entry | None]]:
    """Yield every extended boot record with its logical partition, if it has one.

    The first entry is the partition, relative to its record; an extended entry
    points to the next record, relative to the extended partition.
    """
    position = base
    seen: set[int] = set()
    while True:
        if position in seen or len(seen) >= _MAX_LOGICAL or (position + 1) * sector_size > size:
            raise TableError(f"the chain of logical partitions breaks at LBA {position}")
        seen.add(position)
        sector = read(position * sector_size, sector_size)
        if sector[510:512] != b"\x55\xaa":
            raise TableError(f"LBA {position} is no extended boot record")
        entries = _entries(sector)
        data = [entry for entry in entries if entry.type not in EXTENDED_TYPES]
        links = [entry for entry in entries if entry.type in EXTENDED_TYPES]
        found = None
        if data:
            found = _Entry(data[0].flag, data[0].type, position + data[0].start, data[0].sectors)
        yield Region("ebr", position * sector_size, sector), found
        if not links:
            return
        position = base + links[0].start


def _slot(number: int, entry: _Entry, sector_size: int, signature: int) -> Slot:
    return Slot(
        number,
        Extent(entry.start * sector_size, entry.sectors * sector_size),
        f"0x{entry.type:02x}",
        f"{signature:08x}-{number:02x}",
    )


def _refuse_contradictions(table: Table, size: int) -> None:
    end = 0
    for slot in table.slots:
        if slot.extent.offset < end:
            raise TableError(f"partition {slot.number} overlaps the one before it")
        end = slot.extent.end
        if end > size:
            raise TableError(f"partition {slot.number} ends at {end}, the disk at {size}")
    end = 0
    for region in table.regions:
        if region.offset < end:
            raise TableError(f"the {region.kind} at {region.offset} overlaps the table before it")
        end = region.extent.end
