"""exFAT: which bytes of the volume are used, by its allocation bitmap. Pure.

A volume is, in this order: boot sector and its backup, the file allocation table,
and the cluster heap, whose clusters are numbered from 2. The root directory has an
entry for the allocation bitmap: one bit for each cluster, set where it is used, in
files that need no chain in the table too. Everything before the heap is kept.

Numbers are little-endian. Source: Microsoft, exFAT file system specification,
sections 3 (boot region), 4 (FAT), 5 (data region), 7.1 (allocation bitmap).
"""

import struct
from collections.abc import Iterator

from attrs import frozen

from agent.commands.partclone import MapRefusedError, UncleanError
from agent.imaging.bitmap import set_bits
from agent.imaging.extent import Extent, between, merged
from agent.imaging.table import Reader

_NAME = b"EXFAT   "
_REVISION = 1
_SECOND_TABLE = 0x1
_DIRTY = 0x2
_MEDIA_FAILURE = 0x4
_SECTOR_SHIFTS = range(9, 13)
_LARGEST_CLUSTER = 25  # as a power of two, 32 MiB
_FIRST_CLUSTER = 2
_ENTRY = 32
_END_OF_DIRECTORY = 0x00
_BITMAP = 0x81
_END_OF_CHAIN = 0xFFFFFFFF
_LARGEST_ROOT = 256 << 20


@frozen
class _Volume:
    """Places and lengths in bytes."""

    table: int
    heap: int
    cluster: int
    clusters: int
    root: int
    """The number of a cluster."""


def used(read: Reader, size: int) -> tuple[Extent, ...]:
    """Return the used extents of the exFAT on a partition of ``size`` bytes.

    What lies behind the last cluster counts as used. Raises MapRefusedError with
    the reason where there is no safe answer.
    """
    volume = _volume(read(0, 512), size)
    bitmap, places = _bitmap(read, volume)
    root = list(_chain(read, volume, volume.root))
    if not all(bitmap[(number - 2) // 8] >> (number - 2) % 8 & 1 for number in (*root, *places)):
        raise MapRefusedError("its allocation bitmap says that its root directory is free")
    kept = [Extent(0, volume.heap)]
    for start, count in set_bits(bitmap):
        length = (min(start + count, volume.clusters) - start) * volume.cluster
        kept.append(Extent(volume.heap + start * volume.cluster, length))
    kept.append(between(volume.heap + volume.clusters * volume.cluster, size))
    return merged(kept)


def _volume(boot: bytes, size: int) -> _Volume:
    sectors, table, _table_sectors, heap, clusters, root = struct.unpack_from("<QIIIII", boot, 72)
    revision, flags, sector_shift, cluster_shift, tables = struct.unpack_from("<HHBBB", boot, 104)
    if (
        boot[3:11] != _NAME
        or sector_shift not in _SECTOR_SHIFTS
        or sector_shift + cluster_shift > _LARGEST_CLUSTER
    ):
        raise MapRefusedError("its boot sector is damaged")
    if revision >> 8 != _REVISION or tables != 1 or flags & _SECOND_TABLE:
        raise MapRefusedError(f"it is a kind of exFAT with no map (revision {revision:#x})")
    if flags & _MEDIA_FAILURE:
        raise MapRefusedError("a driver found defects of the medium below it")
    if flags & _DIRTY:
        raise UncleanError(
            "it was not unmounted (its dirty bit is set): run fsck.exfat, or chkdsk /f in Windows"
        )
    sector, cluster = 1 << sector_shift, 1 << (sector_shift + cluster_shift)
    end = heap * sector + clusters * cluster
    if sectors * sector > size:
        raise MapRefusedError(f"it has {sectors * sector} bytes, the partition {size}")
    if end > sectors * sector or not clusters:
        raise MapRefusedError("its boot sector is damaged")
    return _Volume(table * sector, heap * sector, cluster, clusters, root)


def _bitmap(read: Reader, volume: _Volume) -> tuple[bytes, list[int]]:
    """Return the allocation bitmap and the numbers of its clusters."""
    for entry in _root_entries(read, volume):
        if entry[0] != _BITMAP:
            continue
        first, length = struct.unpack_from("<IQ", entry, 20)
        needed = -(-volume.clusters // 8)
        if length < needed:
            raise MapRefusedError("its allocation bitmap is too short")
        places = list(_chain(read, volume, first))
        if len(places) * volume.cluster < needed:
            raise MapRefusedError("its allocation bitmap is too short")
        data = b"".join(_cluster(read, volume, number) for number in places)
        return data[:needed], places
    raise MapRefusedError("its root directory names no allocation bitmap")


def _root_entries(read: Reader, volume: _Volume) -> Iterator[bytes]:
    for number in _chain(read, volume, volume.root):
        data = _cluster(read, volume, number)
        for place in range(0, len(data), _ENTRY):
            if data[place] == _END_OF_DIRECTORY:
                return
            yield data[place : place + _ENTRY]


def _chain(read: Reader, volume: _Volume, number: int) -> Iterator[int]:
    """Yield the numbers of the clusters from the first to the one with the end mark."""
    last = volume.clusters + _FIRST_CLUSTER
    for _ in range(_LARGEST_ROOT // volume.cluster + 1):
        if not _FIRST_CLUSTER <= number < last:
            raise MapRefusedError("a chain of its table leads nowhere")
        yield number
        number = int.from_bytes(read(volume.table + 4 * number, 4), "little")
        if number == _END_OF_CHAIN:
            return
    raise MapRefusedError("a chain of its table does not end")


def _cluster(read: Reader, volume: _Volume, number: int) -> bytes:
    return read(volume.heap + (number - _FIRST_CLUSTER) * volume.cluster, volume.cluster)
