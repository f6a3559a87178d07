"""F2FS: which bytes of the volume are used, by its segment information table. Pure.

A volume is, in this order: superblock and its copy, checkpoints, segment
information table (SIT), node address table, segment summaries, and the main area
with all nodes and data. Everything before the main area is kept.

The main area is divided into segments of 512 blocks. The SIT has one entry for
each, with a bitmap of the valid blocks. It is never overwritten: each of its blocks
has two places, and a bitmap in the checkpoint says which one counts. The newest
entries may not be in it yet, but in a journal of the checkpoint. The checkpoint
itself has two places, too; the one with the higher version counts.

A checkpoint that was not written at an unmount is refused: what was synchronised
after it lies in blocks that look free. The number of valid blocks has to be the
checkpoint's.

Numbers are little-endian. Source: Linux, include/linux/f2fs_fs.h, fs/f2fs/segment.c
(``build_sit_entries``, ``read_normal_summaries``).
"""

import struct
import zlib
from collections.abc import Iterator

from attrs import frozen

from agent.commands.partclone import MapRefusedError, UncleanError
from agent.imaging.bitmap import set_bits
from agent.imaging.extent import Extent, between, merged
from agent.imaging.table import Reader

_SUPERBLOCK = 1024
_MAGIC = 0xF2F52010
_BLOCK = 4096
_SEGMENT_BLOCKS = 512
_GEOMETRY = (12, 9)
"""The sizes above as powers of two; other sizes are newer than what is known here."""

_KNOWN_FEATURES = 0x1 | 0x3FFC  # not: zoned devices, read-only layout, device aliases
_UNMOUNTED = 0x1
_COMPACT_SUMMARY = 0x4
_ERRORS = 0x8 | 0x10  # an error was seen, a check is due
_DISABLED = 0x1000 | 0x2000 | 0x4000  # checkpoints are off, a resize goes on
_LARGE_BITMAP = 0x400

_BITMAPS = 192  # their place in the checkpoint
_SIT_ENTRY = 74
_SIT_ENTRIES = _BLOCK // _SIT_ENTRY
_JOURNAL_ENTRY = 4 + _SIT_ENTRY
_JOURNAL_ENTRIES = 6
_JOURNAL_SIZE = 507
_SUMMARY_ENTRIES = 3584  # bytes before the journal
_LOGS = 6
_COLD_DATA = 2  # the log whose summary has the journal

_VALID = slice(2, 66)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""F2FS counts bits from the highest one on."""


@frozen
class _Volume:
    """Addresses and counts of blocks."""

    blocks: int
    checkpoints: int
    table: int
    table_copy: int
    main: int
    segments: int
    payload: int


@frozen
class _Checkpoint:
    block: int
    raw: bytes
    version: int
    valid: int
    flags: int
    length: int
    summaries: int


def used(read: Reader, size: int) -> tuple[Extent, ...]:
    """Return the used extents of the F2FS on a partition of ``size`` bytes.

    What lies behind the last segment counts as used. Raises MapRefusedError with
    the reason where there is no safe answer.
    """
    volume = _volume(read, size)
    found = [_checkpoint(read, volume.checkpoints + place) for place in (0, _SEGMENT_BLOCKS)]
    checkpoints = [checkpoint for checkpoint in found if checkpoint]
    if not checkpoints:
        raise MapRefusedError("neither of its checkpoints can be read")
    checkpoint = max(checkpoints, key=lambda checkpoint: checkpoint.version)
    if not checkpoint.flags & _UNMOUNTED:
        raise UncleanError("it was not unmounted: mount it once and unmount it")
    if checkpoint.flags & _ERRORS:
        raise UncleanError("errors were found in it: run fsck.f2fs")
    if checkpoint.flags & _DISABLED:
        raise MapRefusedError("its checkpoints are switched off, or it is being resized")
    kept = [Extent(0, volume.main * _BLOCK)]
    valid = 0
    for segment, bitmap in enumerate(_bitmaps(read, volume, checkpoint)):
        first = volume.main + segment * _SEGMENT_BLOCKS
        for start, count in set_bits(bitmap):
            kept.append(Extent((first + start) * _BLOCK, count * _BLOCK))
            valid += count
    if valid != checkpoint.valid:
        raise MapRefusedError(
            f"{valid} blocks are valid in it, its checkpoint says {checkpoint.valid}"
        )
    kept.append(between((volume.main + volume.segments * _SEGMENT_BLOCKS) * _BLOCK, size))
    return merged(kept)


def _volume(read: Reader, size: int) -> _Volume:
    raw = read(_SUPERBLOCK, 3072)
    (magic,) = struct.unpack_from("<I", raw)
    block_size, blocks_per_segment = struct.unpack_from("<II", raw, 16)
    (blocks,) = struct.unpack_from("<Q", raw, 36)
    (table_segments,) = struct.unpack_from("<I", raw, 56)
    (segments,) = struct.unpack_from("<I", raw, 68)
    checkpoints, table, _nat, _ssa, main = struct.unpack_from("<IIIII", raw, 76)
    (payload,) = struct.unpack_from("<I", raw, 1664)
    (features,) = struct.unpack_from("<I", raw, 2180)
    if magic != _MAGIC:
        raise MapRefusedError("its superblock is not at the usual place")
    if raw[2201]:
        raise MapRefusedError("it spans several devices")
    if (block_size, blocks_per_segment) != _GEOMETRY or features & ~_KNOWN_FEATURES:
        raise MapRefusedError(
            f"it has features that the map is not known to cover ({features & ~_KNOWN_FEATURES:#x})"
        )
    if blocks * _BLOCK > size:
        raise MapRefusedError(f"it has {blocks * _BLOCK} bytes, the partition {size}")
    copy = table + table_segments // 2 * _SEGMENT_BLOCKS
    if main + segments * _SEGMENT_BLOCKS > blocks or (copy - table) * _SIT_ENTRIES < segments:
        raise MapRefusedError("its superblock is damaged")
    return _Volume(blocks, checkpoints, table, copy, main, segments, payload)


def _checkpoint(read: Reader, block: int) -> _Checkpoint | None:
    """Return the checkpoint that begins at a block, None where it is not whole."""
    raw = read(block * _BLOCK, _BLOCK)
    version, _user, valid = struct.unpack_from("<QQQ", raw)
    flags, length, summaries = struct.unpack_from("<III", raw, 132)
    if not _LOGS <= length <= _SEGMENT_BLOCKS or summaries >= length:
        return None
    last = read((block + length - 1) * _BLOCK, _BLOCK)
    if not (_is_whole(raw) and _is_whole(last)) or raw[:8] != last[:8]:
        return None
    return _Checkpoint(block, raw, version, valid, flags, length, summaries)


def _is_whole(raw: bytes) -> bool:
    """Whether the checksum fits: a CRC-32 without the usual inversions, from the magic on."""
    (place,) = struct.unpack_from("<I", raw, 164)
    if not _BITMAPS <= place <= _BLOCK - 4:
        return False
    inverted = 0xFFFFFFFF
    checksum = zlib.crc32(raw[:place], _MAGIC ^ inverted) ^ inverted
    return bool(struct.unpack_from("<I", raw, place)[0] == checksum)


def _bitmaps(read: Reader, volume: _Volume, checkpoint: _Checkpoint) -> Iterator[bytes]:
    """Yield the bitmap of each segment's valid blocks, the lowest bit first."""
    journal = _journal(read, checkpoint)
    version = _version_bitmap(read, volume, checkpoint)
    for first in range(0, volume.segments, _SIT_ENTRIES):
        index = first // _SIT_ENTRIES
        newer = version[index // 8] >> (7 - index % 8) & 1
        block = (volume.table_copy if newer else volume.table) + index
        raw = read(block * _BLOCK, _BLOCK)
        for segment in range(first, min(first + _SIT_ENTRIES, volume.segments)):
            place = (segment - first) * _SIT_ENTRY
            entry = journal.get(segment, raw[place : place + _SIT_ENTRY])
            yield entry[_VALID].translate(_REVERSED)


def _version_bitmap(read: Reader, volume: _Volume, checkpoint: _Checkpoint) -> bytes:
    """Return the bitmap that says which place of each SIT block counts."""
    length, nat_length = struct.unpack_from("<II", checkpoint.raw, 156)
    blocks = -(-volume.segments // _SIT_ENTRIES)
    start, raw = _BITMAPS, checkpoint.raw
    if checkpoint.flags & _LARGE_BITMAP:
        start += nat_length + 4
    elif volume.payload:
        start, raw = 0, read((checkpoint.block + 1) * _BLOCK, volume.payload * _BLOCK)
    bitmap = raw[start : start + length]
    if len(bitmap) * 8 < blocks:
        raise MapRefusedError("its checkpoint is damaged")
    return bitmap


def _journal(read: Reader, checkpoint: _Checkpoint) -> dict[int, bytes]:
    """Return the SIT entries that are in the checkpoint, by segment."""
    if checkpoint.flags & _COMPACT_SUMMARY:
        block, place = checkpoint.summaries, _JOURNAL_SIZE
    else:
        block, place = checkpoint.length - _LOGS - 1 + _COLD_DATA, _SUMMARY_ENTRIES
    raw = read((checkpoint.block + block) * _BLOCK, _BLOCK)[place : place + _JOURNAL_SIZE]
    (count,) = struct.unpack_from("<H", raw)
    if count > _JOURNAL_ENTRIES:
        raise MapRefusedError("its checkpoint is damaged")
    entries = {}
    for index in range(count):
        start = 2 + index * _JOURNAL_ENTRY
        (segment,) = struct.unpack_from("<I", raw, start)
        entries[segment] = raw[start + 4 : start + _JOURNAL_ENTRY]
    return entries
