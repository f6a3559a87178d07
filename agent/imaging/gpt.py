"""GUID partition table headers (UEFI specification 2.10, section 5.3). Pure."""

import struct
import uuid
import zlib

from attrs import evolve, field, frozen

_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
_SIGNATURE = b"EFI PART"
_CRC = slice(16, 20)
_ENTRIES_CRC = 88
_FIRST_LBA = 32  # in an entry
_LAST_LBA = 40
_MAX_ENTRIES_BYTES = 1 << 20
_MIN_ENTRY_BYTES = 128

PROTECTIVE_TYPE = 0xEE

ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT_TYPE = "21686148-6449-6e6f-744e-656564454649"


class GptError(ValueError):
    """A sector that is no valid header, or an entry array that is not the header's."""


@frozen
class GptEntry:
    """One used slot. ``first`` and ``last`` are sectors, ``last`` is inclusive."""

    number: int
    type: str
    uuid: str
    first: int
    last: int


@frozen
class GptHeader:
    """One of the two headers. All positions are sectors (LBA)."""

    raw: bytes = field(repr=False)
    """The whole sector that holds it."""
    length: int
    position: int
    alternate: int
    entries: int
    """Where the entry array starts."""
    count: int
    entry_size: int
    entries_crc: int

    @property
    def entries_bytes(self) -> int:
        """Bytes of the entry array, without the padding of its last sector."""
        return self.count * self.entry_size

    def entries_sectors(self, sector_size: int) -> int:
        """Sectors that the entry array takes."""
        return -(-self.entries_bytes // sector_size)

    def moved(self, *, position: int, alternate: int, last_usable: int, entries: int) -> bytes:
        """Return the sector of the same table's header for another place, with its checksum."""
        packed = bytearray(self.raw)
        struct.pack_into("<QQ", packed, 24, position, alternate)
        struct.pack_into("<Q", packed, 48, last_usable)
        struct.pack_into("<Q", packed, 72, entries)
        packed[_CRC] = bytes(4)
        packed[_CRC] = struct.pack("<I", zlib.crc32(packed[: self.length]))
        return bytes(packed)

    def with_entries(self, array: bytes) -> "GptHeader":
        """Return the header at the same place for other entries, with its checksums."""
        packed = bytearray(self.raw)
        entries_crc = zlib.crc32(array[: self.entries_bytes])
        struct.pack_into("<I", packed, _ENTRIES_CRC, entries_crc)
        packed[_CRC] = bytes(4)
        packed[_CRC] = struct.pack("<I", zlib.crc32(packed[: self.length]))
        return evolve(self, raw=bytes(packed), entries_crc=entries_crc)

    def resized_entry(self, array: bytes, number: int, last: int) -> bytes:
        """Return the entry array with partition ``number`` up to and including LBA ``last``."""
        result = bytearray(array)
        struct.pack_into("<Q", result, (number - 1) * self.entry_size + _LAST_LBA, last)
        return bytes(result)

    def moved_entry(self, array: bytes, number: int, first: int, last: int) -> bytes:
        """Return the entry array with partition ``number`` from LBA ``first`` to ``last``."""
        result = bytearray(array)
        struct.pack_into("<QQ", result, (number - 1) * self.entry_size + _FIRST_LBA, first, last)
        return bytes(result)


def has_signature(sector: bytes) -> bool:
    """Whether firmware would look at this sector as a GPT header."""
    return sector.startswith(_SIGNATURE)


def parse_header(sector: bytes, position: int) -> GptHeader:
    """Return the header that ``sector``, read from LBA ``position``, holds.

    Raises GptError when signature, checksum, own position or sizes are wrong.
    """
    if len(sector) < _HEADER.size:
        raise GptError("the sector is too short for a GPT header")
    (
        signature,
        _revision,
        length,
        crc,
        _reserved,
        own,
        alternate,
        _first_usable,
        _last_usable,
        _disk,
        entries,
        count,
        entry_size,
        entries_crc,
    ) = _HEADER.unpack_from(sector)
    if signature != _SIGNATURE:
        raise GptError(f"LBA {position} has no GPT signature")
    if not _HEADER.size <= length <= len(sector):
        raise GptError(f"the GPT header at LBA {position} states {length} bytes")
    without_crc = bytearray(sector[:length])
    without_crc[_CRC] = bytes(4)
    if zlib.crc32(without_crc) != crc:
        raise GptError(f"the checksum of the GPT header at LBA {position} is wrong")
    if own != position:
        raise GptError(f"the GPT header at LBA {position} says that it is at LBA {own}")
    size_fits = 0 < count * entry_size <= _MAX_ENTRIES_BYTES
    if entry_size < _MIN_ENTRY_BYTES or entry_size % 8 or not size_fits:
        raise GptError(f"the GPT states {count} entries of {entry_size} bytes")
    return GptHeader(
        raw=bytes(sector),
        length=length,
        position=own,
        alternate=alternate,
        entries=entries,
        count=count,
        entry_size=entry_size,
        entries_crc=entries_crc,
    )


def parse_entries(header: GptHeader, array: bytes) -> tuple[GptEntry, ...]:
    """Return the used slots of the entry array, by number.

    Raises GptError when the array's checksum is not the header's or a partition
    ends before it starts.
    """
    if zlib.crc32(array[: header.entries_bytes]) != header.entries_crc:
        raise GptError(f"the checksum of the GPT entries at LBA {header.entries} is wrong")
    found = []
    for index in range(header.count):
        entry = array[index * header.entry_size : (index + 1) * header.entry_size]
        kind, unique, first, last = struct.unpack_from("<16s16sQQ", entry)
        if kind == bytes(16):
            continue
        if last < first:
            raise GptError(f"GPT partition {index + 1} ends before it starts")
        found.append(
            GptEntry(
                index + 1,
                str(uuid.UUID(bytes_le=kind)),
                str(uuid.UUID(bytes_le=unique)),
                first,
                last,
            )
        )
    return tuple(found)


def resized_protective_mbr(sector: bytes, disk_sectors: int) -> bytes:
    """Return LBA 0 with its protective (0xEE) entry covering a disk of ``disk_sectors``.

    UEFI specification 2.10, table 5.4: the size is that of the disk minus one
    sector, 0xFFFFFFFF where that does not fit. A hybrid MBR's smaller protective
    entry, one that does not span the disk, stays as it is.
    """
    result = bytearray(sector)
    entries = [sector[446 + 16 * index : 462 + 16 * index] for index in range(4)]
    real = [index for index, entry in enumerate(entries) if entry[4]]
    if len(real) == 1 and entries[real[0]][4] == PROTECTIVE_TYPE:
        size = min(disk_sectors - 1, 0xFFFFFFFF)
        struct.pack_into("<I", result, 446 + 16 * real[0] + 12, size)
    return bytes(result)
