"""FAT12, FAT16 and FAT32: which bytes of the volume are used. Pure.

A volume is, in this order: reserved sectors (boot sector, FSInfo, backup), the
file allocation tables (one or more copies), the root directory (not in FAT32),
and clusters, which are numbered from 2. A table has one entry for each cluster: 0
where it is free, a mark where the medium is bad, else the number of the file's next
cluster or an end mark. Everything before the first cluster is kept. A cluster is
used where any copy of the table says so, as copies may differ.

How wide an entry is, is written nowhere. FAT32 has no 16-bit size of its tables;
else the number of clusters decides: below 4085 it is FAT12, whose entries of 12 bits
lie two in three bytes. The label ("FAT16   ") says nothing. That is how Windows,
Linux and dosfstools decide; where the specification, which goes by the number
alone, would decide otherwise for FAT16, there is no map.

A driver sets a dirty bit while it writes, Linux in the boot sector, Windows in the
table's second entry. Numbers are little-endian. Source: Microsoft, FAT32 File
System Specification 1.03.
"""

import re
import struct

from attrs import frozen

from agent.commands.partclone import MapRefusedError, UncleanError
from agent.imaging.extent import Extent, between, merged
from agent.imaging.table import Reader

_FEWEST_FAT16 = 4085
_FEWEST_FAT32 = 65525
_SECTOR_SIZES = frozenset((512, 1024, 2048, 4096))
_FIRST_CLUSTER = 2
_PIECE = 3 << 18
"""Bytes of a table that are read at once; whole entries of every width."""

_DIRTY_BYTE = {12: 0x25, 16: 0x25, 32: 0x41}
_DIRTY = 1
_CLEAN_MARK = {16: 0x8000, 32: 0x08000000}
_RUN = re.compile(b"\x01+")


@frozen
class _Volume:
    """Places and lengths in bytes."""

    bits: int
    table: int
    table_length: int
    tables: int
    heap: int
    """Where cluster 2 begins."""
    cluster: int
    clusters: int


def used(read: Reader, size: int) -> tuple[Extent, ...]:
    """Return the used extents of the FAT on a partition of ``size`` bytes.

    What lies behind the last cluster counts as used. Raises MapRefusedError with
    the reason where there is no safe answer.
    """
    boot = read(0, 512)
    volume = _volume(boot, size)
    if _is_dirty(boot, read(volume.table, 8), volume.bits):
        raise UncleanError(
            "it was not unmounted (its dirty bit is set): mount it and run fsck.fat -a, "
            "or chkdsk /f in Windows, which clear it"
        )
    flags = _allocated(read, volume)
    kept = [Extent(0, volume.heap)]
    for run in _RUN.finditer(flags):
        start = volume.heap + (run.start() - _FIRST_CLUSTER) * volume.cluster
        kept.append(Extent(start, (run.end() - run.start()) * volume.cluster))
    kept.append(between(volume.heap + volume.clusters * volume.cluster, size))
    return merged(kept)


def _volume(boot: bytes, size: int) -> _Volume:
    sector, per_cluster, reserved, tables, root_entries, few_sectors, _, short_table = (
        struct.unpack_from("<HBHBHHBH", boot, 11)
    )
    many_sectors, long_table = struct.unpack_from("<II", boot, 32)
    table_sectors = short_table or long_table
    sectors = few_sectors or many_sectors
    if (
        sector not in _SECTOR_SIZES
        or per_cluster.bit_count() != 1
        or not (reserved and tables and table_sectors)
    ):
        raise MapRefusedError("its boot sector is damaged")
    heap = reserved + tables * table_sectors + -(-root_entries * 32 // sector)
    clusters = (sectors - heap) // per_cluster
    if short_table == 0:
        bits = 32
    elif clusters < _FEWEST_FAT32:
        bits = 12 if clusters < _FEWEST_FAT16 else 16
    else:
        raise MapRefusedError(f"it has {clusters} clusters and no table of FAT32")
    if sectors * sector > size:
        raise MapRefusedError(f"it has {sectors * sector} bytes, the partition {size}")
    if clusters < 1 or (clusters + _FIRST_CLUSTER) * bits > table_sectors * sector * 8:
        raise MapRefusedError(f"its table is too small for {clusters} clusters")
    return _Volume(
        bits=bits,
        table=reserved * sector,
        table_length=table_sectors * sector,
        tables=tables,
        heap=heap * sector,
        cluster=per_cluster * sector,
        clusters=clusters,
    )


def _is_dirty(boot: bytes, table: bytes, bits: int) -> bool:
    if boot[_DIRTY_BYTE[bits]] & _DIRTY:
        return True
    mark = _CLEAN_MARK.get(bits)
    return mark is not None and not _entries(table, bits)[1] & mark


def _allocated(read: Reader, volume: _Volume) -> bytes:
    """Return a byte for each entry of the table: 1 where its cluster is used.

    The first two entries, which belong to no cluster, are 0.
    """
    result = bytearray()
    end = volume.clusters + _FIRST_CLUSTER
    for start in range(0, -(-end * volume.bits // 8), _PIECE):
        copies = {
            read(volume.table + copy * volume.table_length + start, _PIECE)
            for copy in range(volume.tables)
        }
        flags = [_flags(copy, volume.bits) for copy in copies]
        result += flags[0] if len(flags) == 1 else bytes(map(max, *flags))
    result[:_FIRST_CLUSTER] = bytes(_FIRST_CLUSTER)
    return bytes(result[:end])


def _flags(table: bytes, bits: int) -> bytes:
    if not any(table):
        return bytes(len(table) * 8 // bits)
    bad = (1 << min(bits, 28)) - 9
    mask = (1 << min(bits, 28)) - 1  # of FAT32's 32 bits, 4 are reserved
    return bytes([entry & mask not in (0, bad) for entry in _entries(table, bits)])


def _entries(table: bytes, bits: int) -> tuple[int, ...]:
    if bits != 12:  # noqa: PLR2004 - FAT12
        return struct.unpack(f"<{len(table) * 8 // bits}{'H' if bits == 16 else 'I'}", table)  # noqa: PLR2004
    pairs = (
        int.from_bytes(table[place : place + 3], "little") for place in range(0, len(table), 3)
    )
    return tuple(entry for pair in pairs for entry in (pair & 0xFFF, pair >> 12))
