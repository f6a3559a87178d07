"""NTFS: whether Windows left it clean, so that its bitmap may be trusted. Pure.

partclone looks at the dirty flag alone. A hibernated or fast-started Windows
keeps changes in its memory and in the journal while that flag is clear. Layout:
Linux-NTFS project documentation, ``$LogFile`` and file records.
"""

import struct
from collections.abc import Iterator

from attrs import frozen

from agent.imaging.table import Reader

_LOGFILE_RECORD = 2
_VOLUME_RECORD = 3
_BITMAP_RECORD = 6
_VOLUME_INFORMATION = 0x70
_DATA = 0x80
_END = 0xFFFFFFFF
_DIRTY = 0x1
_NO_CLIENT = 0xFFFF
_CLEAN = 0x2
_PAGE = 4096
_STRIDE = 512
_LARGEST_COUNT = 128  # sectors in a cluster; beyond it is a power of two, negative
_LARGEST_CLUSTER = 2 << 20
_PIECE = 1 << 20

_UNREADABLE = "its journal ($LogFile) cannot be read"
_SHUT_DOWN = "start Windows and shut it down fully (shutdown /s /t 0)"
_HIBERNATED = (
    "Windows is hibernated or was shut down with fast startup: start it, turn fast "
    "startup off (powercfg /h off) and shut it down"
)
_JOURNAL = f"its journal holds changes that are not in the file system yet: {_SHUT_DOWN}"
_DIRTY_BIT = f"Windows has to check it first (its dirty bit is set): run chkdsk /f, {_SHUT_DOWN}"


class _UnreadableError(Exception):
    """The structure on the disk is not what it should be."""


@frozen
class _Volume:
    """``cluster`` and ``record`` are bytes, ``table`` is where the file records begin."""

    read: Reader
    cluster: int
    clusters: int
    table: int
    record: int

    def file_record(self, number: int) -> bytes:
        """Return one of the first file records, which always lie together."""
        raw = self.read(self.table + number * self.record, self.record)
        return _repaired(raw, b"FILE")


def unsupported_reason(read: Reader) -> str:
    """Return why a map of the used blocks would not be safe, empty where it is."""
    return _state(read)[0]


def unclean_reason(read: Reader) -> tuple[str, bool]:
    """Return in what way it was not left clean, and whether Windows alone can mend that.

    Only Windows has what it keeps in its memory, and only it reads its journal.
    """
    reason, by_windows = _state(read)
    return ("", False) if reason == _UNREADABLE else (reason, by_windows)


def _state(read: Reader) -> tuple[str, bool]:
    try:
        volume = _volume(read)
        pages = _restart_pages(volume)
        dirty = _is_dirty(volume)
    except (_UnreadableError, struct.error, IndexError):
        return _UNREADABLE, True
    if pages:  # mkntfs fills the journal with 0xff, Windows starts it at the first mount
        _, major, in_use, flags = max(pages)
        if major != 1:
            return _HIBERNATED, True
        if in_use != _NO_CLIENT and not flags & _CLEAN:
            return _JOURNAL, True
    if dirty:
        return _DIRTY_BIT, False
    return "", False


def used_bytes(read: Reader, size: int) -> int:
    """Return how many of a partition's ``size`` bytes the volume's bitmap says are used.

    What lies behind the last cluster counts as used. Returns 0 where the bitmap is
    not found: in pieces, it is listed in other records.
    """
    try:
        volume = _volume(read)
        record = volume.file_record(_BITMAP_RECORD)
        position, length = _attribute(record, _DATA, resident=False)
        runs = list(_runs(record[position : position + length]))
    except (_UnreadableError, struct.error, IndexError):
        return 0
    needed, count = -(-volume.clusters // 8), 0
    for start, clusters in runs:
        end = min(clusters * volume.cluster, needed)
        for place in range(0, end, _PIECE):
            piece = read(start * volume.cluster + place, min(_PIECE, end - place))
            count += int.from_bytes(piece, "little").bit_count()
        needed -= end
    surplus = -volume.clusters % 8  # bits behind the last cluster, which are set
    used = (count - surplus) * volume.cluster
    return 0 if needed else used + size - volume.clusters * volume.cluster


def _volume(read: Reader) -> _Volume:
    boot = read(0, 512)
    (sector,) = struct.unpack_from("<H", boot, 11)
    per_cluster, (per_record,) = boot[13], struct.unpack_from("<b", boot, 0x40)
    sectors, table = struct.unpack_from("<QQ", boot, 0x28)
    if per_cluster > _LARGEST_COUNT:
        per_cluster = 1 << (256 - per_cluster)
    cluster = sector * per_cluster
    record = cluster * per_record if per_record > 0 else 1 << -per_record
    if not 0 < record <= 1 << 16 or not 0 < cluster <= _LARGEST_CLUSTER:
        raise _UnreadableError
    return _Volume(read, cluster, sectors // per_cluster, table * cluster, record)


def _is_dirty(volume: _Volume) -> bool:
    record = volume.file_record(_VOLUME_RECORD)
    position, _ = _attribute(record, _VOLUME_INFORMATION, resident=True)
    (value,) = struct.unpack_from("<H", record, position + 0x14)
    (flags,) = struct.unpack_from("<H", record, position + value + 10)
    return bool(flags & _DIRTY)


def _restart_pages(volume: _Volume) -> list[tuple[int, int, int, int]]:
    """Return (sequence number, major version, client in use, flags) of each valid page."""
    record = volume.file_record(_LOGFILE_RECORD)
    position, length = _attribute(record, _DATA, resident=False)
    start, _ = next(_runs(record[position : position + length]))
    pages = []
    for index in range(2):
        raw = volume.read(start * volume.cluster + index * _PAGE, _PAGE)
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


def _attribute(record: bytes, wanted: int, *, resident: bool) -> tuple[int, int]:
    """Return place and length of the record's unnamed attribute of that kind."""
    (position,) = struct.unpack_from("<H", record, 0x14)
    while True:
        kind, length = struct.unpack_from("<II", record, position)
        if kind == _END or length == 0:
            raise _UnreadableError
        if kind == wanted and bool(record[position + 8]) != resident and not record[position + 9]:
            return position, length
        position += length


def _runs(attribute: bytes) -> Iterator[tuple[int, int]]:
    """Yield first cluster and number of clusters of each run of a non-resident attribute."""
    (position,) = struct.unpack_from("<H", attribute, 0x20)
    start = 0
    while head := attribute[position]:
        count_bytes, start_bytes = head & 0xF, head >> 4
        if not (count_bytes and start_bytes):
            raise _UnreadableError  # no place: sparse
        middle = position + 1 + count_bytes
        count = int.from_bytes(attribute[position + 1 : middle], "little")
        position = middle + start_bytes
        start += int.from_bytes(attribute[middle:position], "little", signed=True)
        yield start, count
