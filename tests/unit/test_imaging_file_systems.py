"""Superblocks that say whether a map of used blocks may be trusted.

Built by hand; ``tests/protocol/test_imaging_dirty.py`` looks at real ones.
"""

import struct

import pytest

from agent.imaging import ext, ntfs, xfs
from agent.imaging.table import Reader

JOURNAL = "its journal holds changes that are not in the file system yet: "
MOUNT = "mount it once and unmount it"
LOG = f"its log holds changes that are not in the file system yet: {MOUNT}"
HIBERNATED = (
    "Windows is hibernated or was shut down with fast startup: start it, turn fast "
    "startup off (powercfg /h off) and shut it down"
)
SHUT_DOWN = "start Windows and shut it down fully (shutdown /s /t 0)"


def reader(raw: bytes) -> Reader:
    return lambda offset, length: raw[offset : offset + length].ljust(length, b"\0")


def ext_superblock(
    *,
    incompatible: int = 0x2C2,
    compatible: int = 0x46B,
    magic: int = 0xEF53,
    state: int = 1,
) -> bytes:
    block = bytearray(1024)
    struct.pack_into("<HH", block, 0x38, magic, state)
    struct.pack_into("<II", block, 0x60, incompatible, compatible)
    return bytes(1024) + block


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (ext_superblock(), ""),
        (ext_superblock(incompatible=0x2C6), f"{JOURNAL}{MOUNT}, or run e2fsck -f"),
        (ext_superblock(state=0), "it was not unmounted: run e2fsck -f"),
        (ext_superblock(state=3), "errors were found in it: run e2fsck -f"),
        (ext_superblock(incompatible=0x8), "it is the journal of another file system"),
        (
            ext_superblock(compatible=0x66B),
            "it allocates in clusters, which the map cannot express",
        ),
        (bytes(4096), "its superblock is not at the usual place"),
    ],
)
def test_ext(raw: bytes, reason: str) -> None:
    assert ext.unsupported_reason(reader(raw)) == reason


LOG_BLOCKS = 256


def xfs_image(blocks: list[bytes], **changes: int) -> bytes:
    superblock = bytearray(512)
    superblock[:4] = b"XFSB"
    struct.pack_into(">I", superblock, 4, 512)
    struct.pack_into(">Q", superblock, 24, changes.get("realtime", 0))
    struct.pack_into(">Q", superblock, 48, changes.get("log_start", (1 << 10) | 8))
    struct.pack_into(">I", superblock, 84, 600)
    struct.pack_into(">I", superblock, 96, LOG_BLOCKS)
    superblock[124] = 10
    return bytes(superblock) + bytes((608 - 1) * 512) + b"".join(blocks)


def record(cycle: int, data_blocks: int, *, operations: int = 5, flags: int = 0) -> list[bytes]:
    header = bytearray(512)
    struct.pack_into(">IIII", header, 0, 0xFEEDBABE, cycle, 2, data_blocks * 512)
    struct.pack_into(">I", header, 40, operations)
    struct.pack_into(">I", header, 320, 32768)
    data = bytearray(struct.pack(">I", cycle) + bytes(508))
    data[9] = flags
    return [bytes(header), *([bytes(data)] * data_blocks)]


def unmount(cycle: int, data_blocks: int = 1) -> list[bytes]:
    return record(cycle, data_blocks, operations=1, flags=0x20)


def log(newer: list[bytes], older_cycle: int) -> list[bytes]:
    filler = struct.pack(">I", older_cycle) + bytes(508)
    return newer + [filler] * (LOG_BLOCKS - len(newer))


@pytest.mark.parametrize(
    ("blocks", "clean"),
    [
        (log(unmount(1), 0), True),
        (log(record(1, 20) + unmount(1), 0), True),
        (log(record(7, 20) + unmount(7), 6), True),
        (log(record(7, 20) + unmount(7, data_blocks=8), 6), True),
        (record(7, LOG_BLOCKS - 3) + unmount(7), True),  # the head is back at the start
        (log(record(1, 20), 0), False),
        (log(unmount(7) + record(7, 20), 6), False),
        (log(record(7, 20) + record(7, 1, operations=1), 6), False),
        (log(record(7, 20) + unmount(7)[:1], 6), False),
        (log(unmount(7), 3), False),
        ([bytes(512)] * LOG_BLOCKS, False),
    ],
)
def test_xfs_is_trusted_only_when_its_log_ends_with_an_unmount(
    blocks: list[bytes], *, clean: bool
) -> None:
    assert xfs.unsupported_reason(reader(xfs_image(blocks))) == ("" if clean else LOG)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (xfs_image(log(unmount(1), 0), log_start=0), "its log is on another device"),
        (xfs_image(log(unmount(1), 0), realtime=5), "it has a realtime section"),
        (bytes(4096), "its superblock is not at the usual place"),
    ],
)
def test_xfs_without_its_log_beside_its_data(raw: bytes, reason: str) -> None:
    assert xfs.unsupported_reason(reader(raw)) == reason


def with_update_sequence(record_bytes: bytes) -> bytes:
    raw = bytearray(record_bytes)
    count = len(raw) // 512
    struct.pack_into("<HH", raw, 4, 48, count + 1)
    raw[48:50] = b"\x01\x00"
    for index in range(count):
        end = (index + 1) * 512
        raw[50 + 2 * index : 52 + 2 * index] = raw[end - 2 : end]
        raw[end - 2 : end] = b"\x01\x00"
    return bytes(raw)


def restart_page(sequence: int, *, major: int = 1, in_use: int = 0xFFFF, flags: int = 0) -> bytes:
    page = bytearray(4096)
    page[:4] = b"RSTR"
    struct.pack_into("<Hhh", page, 0x18, 0x70, 1, major)
    struct.pack_into("<QHHHH", page, 0x70, sequence, 1, 0xFFFF, in_use, flags)
    return with_update_sequence(bytes(page))


def ntfs_record(kind: int, attribute: bytes) -> bytes:
    entry = bytearray(1024)
    entry[:4] = b"FILE"
    struct.pack_into("<H", entry, 0x14, 0x80)
    struct.pack_into("<II", entry, 0x80, 0x10, 0x20)
    struct.pack_into("<II", entry, 0xA0, kind, 8 + len(attribute))
    entry[0xA8 : 0xA8 + len(attribute)] = attribute
    return with_update_sequence(bytes(entry))


def ntfs_image(*pages: bytes, volume_flags: int = 0, per_cluster: int = 8) -> bytes:
    boot = bytearray(512)
    cluster = per_cluster * 512
    struct.pack_into("<HB", boot, 11, 512, per_cluster)
    struct.pack_into("<Q", boot, 0x30, 4)
    struct.pack_into("<b", boot, 0x40, -10)
    runs = struct.pack("<BB22xH30x", 1, 0, 0x40) + b"\x11\x02\x0a"  # two clusters from cluster 10
    information = struct.pack("<BB10xH2x8xBBH", 0, 0, 0x18, 3, 1, volume_flags)
    raw = bytearray(12 * cluster + 4096)
    raw[:512] = boot
    records = ntfs_record(0x80, runs) + ntfs_record(0x70, information)
    raw[4 * cluster + 2048 : 4 * cluster + 4096] = records
    for index, page in enumerate(pages):
        place = 10 * cluster + index * 4096
        raw[place : place + 4096] = page
    return bytes(raw)


EMPTY = b"\xff" * 4096


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ((EMPTY, EMPTY), ""),
        ((restart_page(5), restart_page(4)), ""),
        ((restart_page(5, in_use=0, flags=2), EMPTY), ""),
        ((restart_page(4), restart_page(5, in_use=0)), JOURNAL + SHUT_DOWN),
        ((restart_page(5), restart_page(4, in_use=0)), ""),
        (
            (restart_page(5, major=2), EMPTY),
            HIBERNATED,
        ),
        ((bytes(4096), EMPTY), "its journal ($LogFile) cannot be read"),
    ],
)
def test_ntfs_is_trusted_only_when_its_newest_restart_page_is_clean(
    pages: tuple[bytes, bytes], reason: str
) -> None:
    assert ntfs.unsupported_reason(reader(ntfs_image(*pages))) == reason


def test_a_volume_that_windows_has_to_check_is_not_trusted() -> None:
    dirty = ntfs_image(restart_page(5), EMPTY, volume_flags=1)
    assert ntfs.unsupported_reason(reader(dirty)) == (
        f"Windows has to check it first (its dirty bit is set): run chkdsk /f, {SHUT_DOWN}"
    )
    other = ntfs_image(restart_page(5), EMPTY, volume_flags=0x8000)
    assert ntfs.unsupported_reason(reader(other)) == ""


def test_clusters_of_64_kib_are_understood() -> None:
    image = ntfs_image(restart_page(5), EMPTY, per_cluster=128)
    assert ntfs.unsupported_reason(reader(image)) == ""


@pytest.mark.parametrize("damage", [0, 11, 0x40, 4 * 4096 + 2048, 4 * 4096 + 2048 + 510])
def test_a_damaged_ntfs_is_not_trusted(damage: int) -> None:
    raw = bytearray(ntfs_image(restart_page(5), EMPTY))
    raw[damage : damage + 4] = b"\xee\xee\xee\xee"
    expected = "" if damage == 0 else "its journal ($LogFile) cannot be read"
    assert ntfs.unsupported_reason(reader(bytes(raw))) == expected
