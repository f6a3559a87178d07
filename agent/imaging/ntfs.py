"""NTFS: whether Windows left it clean, so that its bitmap may be trusted. Pure.

partclone looks at the dirty flag alone. A hibernated or fast-started Windows
keeps changes in its memory and in the journal while that flag is clear. Layout:
Linux-NTFS project documentation, ``$LogFile`` and file records.
"""

import struct

from agent.imaging.table import Reader

_LOGFILE_RECORD = 2
_DATA = 0x80
_END = 0xFFFFFFFF
_NO_CLIENT = 0xFFFF
_CLEAN = 0x2
_PAGE = 4096
_STRIDE = 512
_UNREADABLE = "its journal ($LogFile) cannot be read"


class _UnreadableError(Exception):
    """The structure on the disk is not what it should be."""


def unsupported_reason(read: Reader) -> str:
    """Return why a map of the used blocks would not be safe, empty where it is."""
    try:
        pages = _restart_pages(read)
    except (_UnreadableError, struct.error, IndexError):
        return _UNREADABLE
    if not pages:  # mkntfs fills the journal with 0xff, Windows starts it at the first mount
        return ""
    _, major, in_use, flags = max(pages)
    if major != 1:
        return "Windows is hibernated or was shut down with fast startup"
    if in_use != _NO_CLIENT and not flags & _CLEAN:
        return "its journal holds changes that are not in the file system yet"
    return ""


def _restart_pages(read: Reader) -> list[tuple[int, int, int, int]]:
    """Return (sequence number, major version, client in use, flags) of each valid page."""
    boot = read(0, 512)
    (sector,) = struct.unpack_from("<H", boot, 11)
    (mft,) = struct.unpack_from("<Q", boot, 0x30)
    (per_cluster, per_record) = struct.unpack_from("<b", boot, 13) + struct.unpack_from(
        "<b", boot, 0x40
    )
    cluster = sector * per_cluster if per_cluster > 0 else sector << -per_cluster
    record_size = cluster * per_record if per_record > 0 else 1 << -per_record
    if not 0 < record_size <= 1 << 16 or not 0 < cluster <= 1 << 21:
        raise _UnreadableError
    record = _repaired(read(mft * cluster + _LOGFILE_RECORD * record_size, record_size), b"FILE")
    journal = _first_cluster(record) * cluster
    pages = []
    for index in range(2):
        raw = read(journal + index * _PAGE, _PAGE)
        if raw[:4] == b"\xff\xff\xff\xff":
            continue
        page = _repaired(raw, b"RSTR")
        area, _minor, major = struct.unpack_from("<Hhh", page, 0x18)
        sequence, _clients, _free, in_use, flags = struct.unpack_from("<QHHHH", page, area)
        pages.append((sequence, major, in_use, flags))
    return pages


def _repaired(raw: bytes, magic: bytes) -> bytes:
    """Return the record with the last two bytes of every 512 put back (update sequence)."""
    if raw[:4] != magic:
        raise _UnreadableError
    offset, count = struct.unpack_from("<HH", raw, 4)
    result = bytearray(raw)
    mark = raw[offset : offset + 2]
    for index in range(1, count):
        end = index * _STRIDE
        if end > len(raw) or raw[end - 2 : end] != mark:
            raise _UnreadableError
        result[end - 2 : end] = raw[offset + 2 * index : offset + 2 * index + 2]
    return bytes(result)


def _first_cluster(record: bytes) -> int:
    """Return the first cluster of the record's unnamed, non-resident data."""
    (position,) = struct.unpack_from("<H", record, 0x14)
    while True:
        kind, length = struct.unpack_from("<II", record, position)
        if kind == _END or length == 0:
            raise _UnreadableError
        if kind == _DATA and record[position + 8] and not record[position + 9]:
            break
        position += length
    (runs,) = struct.unpack_from("<H", record, position + 0x20)
    run = position + runs
    length_bytes, offset_bytes = record[run] & 0xF, record[run] >> 4
    start = run + 1 + length_bytes
    return int.from_bytes(record[start : start + offset_bytes], "little", signed=True)
