"""XFS: whether its log is clean, so that the free space trees may be trusted. Pure.

partclone does not look at the log and maps a crashed XFS without what the log
still holds. Offsets and the way to find the log's head: XFS Algorithms & Data
Structures, chapters "Superblocks" and "Journaling Log"; Linux,
fs/xfs/xfs_log_recover.c. All numbers are big-endian.
"""

import struct
from collections.abc import Callable

from attrs import frozen

from agent.imaging.table import Reader

_BLOCK = 512  # the log counts in basic blocks whatever the disk's sector size
_HEADER_MAGIC = 0xFEEDBABE
_VERSION_2 = 2
_HEADER_COVERS = 32768
_UNMOUNT = 0x20
_LARGEST_RECORD = 256 * 1024 // _BLOCK + 8

_DIRTY = "its log holds changes that are not in the file system yet: mount it once and unmount it"


@frozen
class _Log:
    """``block(i)`` is basic block ``i`` of ``count``."""

    block: Callable[[int], bytes]
    count: int

    def cycle(self, index: int) -> int:
        """How often the log had wrapped when this block was written."""
        first, second = struct.unpack_from(">II", self.block(index))
        return int(second if first == _HEADER_MAGIC else first)


def unsupported_reason(read: Reader) -> str:
    """Return why a map of the used blocks would not be safe, empty where it is."""
    superblock = read(0, 512)
    if superblock[:4] != b"XFSB":
        return "its superblock is not at the usual place"
    (block_size,) = struct.unpack_from(">I", superblock, 4)
    (realtime_extents,) = struct.unpack_from(">Q", superblock, 24)
    (log_start,) = struct.unpack_from(">Q", superblock, 48)
    (group_blocks,) = struct.unpack_from(">I", superblock, 84)
    (log_blocks,) = struct.unpack_from(">I", superblock, 96)
    group_bits = superblock[124]
    if realtime_extents:
        return "it has a realtime section"
    if not log_start or not log_blocks:
        return "its log is on another device"
    group, block = log_start >> group_bits, log_start & ((1 << group_bits) - 1)
    base = (group * group_blocks + block) * block_size
    log = _Log(lambda index: read(base + index * _BLOCK, _BLOCK), log_blocks * block_size // _BLOCK)
    return "" if _is_clean(log) else _DIRTY


def unclean_reason(read: Reader) -> str:
    """Return in what way the file system was not left clean, empty where it was."""
    return _DIRTY if unsupported_reason(read) == _DIRTY else ""


def used_bytes(read: Reader, size: int) -> int:
    """Return how many of a partition's ``size`` bytes its superblock says are used.

    What lies behind the file system's end counts as used. A map may have more: the
    superblock calls blocks free that are set aside for the free space trees.
    """
    superblock = read(0, 512)
    (block_size,) = struct.unpack_from(">I", superblock, 4)
    (free,) = struct.unpack_from(">Q", superblock, 144)
    return int(size - free * block_size)


def _is_clean(log: _Log) -> bool:
    """Whether the last record before the log's head is that of an unmount."""
    head = _head(log)
    if head is None:
        return False
    for distance in range(2, _LARGEST_RECORD):
        start = (head - distance) % log.count
        header = log.block(start)
        if struct.unpack_from(">I", header)[0] == _HEADER_MAGIC:
            return _is_unmount(log, start, header, distance)
    return False


def _is_unmount(log: _Log, start: int, header: bytes, distance: int) -> bool:
    (version, length) = struct.unpack_from(">II", header, 8)
    (operations,) = struct.unpack_from(">I", header, 40)
    (record_size,) = struct.unpack_from(">I", header, 320)
    headers = 1
    if version & _VERSION_2 and record_size > _HEADER_COVERS:
        headers = -(-record_size // _HEADER_COVERS)
    if operations != 1 or headers + -(-length // _BLOCK) != distance:
        return False
    operation = log.block((start + headers) % log.count)
    return bool(operation[9] & _UNMOUNT)


def _head(log: _Log) -> int | None:
    """Return where the next record would be written: the first block of the older cycle."""
    first, last = log.cycle(0), log.cycle(log.count - 1)
    if first == 0 or first - last not in (0, 1):
        return None if first == 0 or last != 0 else _boundary(log, last)
    return log.count if first == last else _boundary(log, last)


def _boundary(log: _Log, older: int) -> int:
    low, high = 0, log.count - 1  # cycle(low) is the newer one, cycle(high) the older
    while high - low > 1:
        middle = (low + high) // 2
        if log.cycle(middle) == older:
            high = middle
        else:
            low = middle
    return high
