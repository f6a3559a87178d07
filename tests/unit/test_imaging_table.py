import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging import gpt
from agent.imaging.extent import Extent
from agent.imaging.table import Reader, Table, TableError, read_table
from tests.unit.imaging_images import LINUX, MIB, blank_file, noise, write_gpt

SIZE = 8 * MIB


def reader(raw: bytes) -> Reader:
    return lambda offset, length: raw[offset : offset + length]


def table_of(raw: bytes | bytearray) -> Table:
    return read_table(reader(bytes(raw)), len(raw), 512)


def boot_record(*entries: tuple[int, int, int, int], code: bytes = b"") -> bytes:
    """Entries are (flag, type, start, sectors)."""
    packed = b"".join(struct.pack("<B3xB3xII", *entry) for entry in entries)
    signature = struct.pack("<I", 0xCAFEBABE)
    return (code.ljust(440, b"\0") + signature + b"\0\0" + packed).ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture
def gpt_disk(tmp_path: Path) -> bytearray:
    path = blank_file(tmp_path / "disk", SIZE)
    write_gpt(path, SIZE, [(4096, 8191), (2048, 4095)])
    return bytearray(path.read_bytes())


def mbr_disk() -> bytearray:
    raw = bytearray(SIZE)
    raw[:512] = boot_record((0x80, 0x83, 2048, 2048), (0, 0x05, 6144, 8192), (0, 0xEF, 4096, 2048))
    raw[6144 * 512 : 6145 * 512] = boot_record((0, 0x83, 64, 1000), (0, 0x05, 2048, 2000))
    raw[8192 * 512 : 8193 * 512] = boot_record((0, 0x82, 64, 500))
    return raw


def test_a_gpt_gives_partitions_in_disk_order_and_its_own_sectors(gpt_disk: bytearray) -> None:
    table = table_of(gpt_disk)
    assert table.kind == "gpt"
    assert [(slot.number, slot.extent) for slot in table.slots] == [
        (2, Extent(MIB, MIB)),
        (1, Extent(2 * MIB, 2 * MIB)),
    ]
    assert table.slots[0].type == str(LINUX)
    assert table.slots[0].uuid == "00000000-0000-0000-0000-000000000002"
    assert [(region.kind, region.offset, len(region.raw)) for region in table.regions] == [
        ("boot-sector", 0, 512),
        ("gpt-header", 512, 512),
        ("gpt-entries", 1024, 16384),
        ("gpt-backup-entries", SIZE - 33 * 512, 16384),
        ("gpt-backup-header", SIZE - 512, 512),
    ]


def test_a_damaged_backup_is_left_out_and_no_reason_to_refuse(gpt_disk: bytearray) -> None:
    gpt_disk[-512] ^= 1
    table = table_of(gpt_disk)
    assert table.kind == "gpt"
    assert [region.kind for region in table.regions][-1] == "gpt-entries"


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        (512, "LBA 1 has no GPT signature"),
        (512 + 60, "the checksum of the GPT header at LBA 1 is wrong"),
        (1024 + 40, "the checksum of the GPT entries at LBA 2 is wrong"),
    ],
)
def test_a_damaged_primary_gpt_is_an_error(
    gpt_disk: bytearray, position: int, problem: str
) -> None:
    gpt_disk[position] ^= 1
    with pytest.raises(TableError, match=problem):
        table_of(gpt_disk)


def test_overlapping_gpt_partitions_are_an_error(tmp_path: Path) -> None:
    path = blank_file(tmp_path / "disk", SIZE)
    write_gpt(path, SIZE, [(2048, 5000), (5000, 6000)])
    with pytest.raises(TableError, match="partition 2 overlaps the one before it"):
        table_of(path.read_bytes())


def test_a_partition_past_the_end_is_an_error(tmp_path: Path) -> None:
    path = blank_file(tmp_path / "disk", SIZE)
    write_gpt(path, SIZE, [(2048, 99999)])
    with pytest.raises(TableError, match="partition 1 ends at 51200000, the disk at 8388608"):
        table_of(path.read_bytes())


def test_an_mbr_gives_primary_and_logical_partitions_but_not_the_extended_one() -> None:
    table = table_of(mbr_disk())
    assert table.kind == "mbr"
    assert [(slot.number, slot.type, slot.uuid, slot.extent) for slot in table.slots] == [
        (1, "0x83", "cafebabe-01", Extent(2048 * 512, 2048 * 512)),
        (3, "0xef", "cafebabe-03", Extent(4096 * 512, 2048 * 512)),
        (5, "0x83", "cafebabe-05", Extent(6208 * 512, 1000 * 512)),
        (6, "0x82", "cafebabe-06", Extent(8256 * 512, 500 * 512)),
    ]
    assert [(region.kind, region.offset) for region in table.regions] == [
        ("boot-sector", 0),
        ("ebr", 6144 * 512),
        ("ebr", 8192 * 512),
    ]


def test_a_chain_of_logical_partitions_that_loops_is_an_error() -> None:
    raw = mbr_disk()
    raw[8192 * 512 : 8193 * 512] = boot_record((0, 0x82, 64, 500), (0, 0x05, 0, 100))
    with pytest.raises(TableError, match="the chain of logical partitions breaks at LBA 6144"):
        table_of(raw)


def test_a_chain_that_leads_nowhere_is_an_error() -> None:
    raw = mbr_disk()
    raw[8192 * 512 : 8193 * 512] = bytes(512)
    with pytest.raises(TableError, match="LBA 8192 is no extended boot record"):
        table_of(raw)


@pytest.mark.parametrize(
    "sector",
    [
        bytes(512),
        bytes(510) + b"\x55\xaa",  # mkfs.fat without partitions: zeros where entries would be
        noise(510) + b"\x55\xaa",  # the boot code of a file system
        boot_record((0x80, 0x83, 0, 100)),
        boot_record((0x80, 0x83, 1, SIZE // 512)),
        boot_record((0x17, 0x83, 1, 100)),
    ],
)
def test_a_boot_sector_that_holds_no_table_is_kind_none(sector: bytes) -> None:
    assert table_of(sector + bytes(SIZE - 512)).kind == "none"


def test_the_gpt_behind_an_mbr_without_protective_entry_is_not_read(gpt_disk: bytearray) -> None:
    gpt_disk[:512] = boot_record((0, 0x83, 2048, 100))
    assert table_of(gpt_disk).kind == "mbr"


@given(st.binary(min_size=2048, max_size=2048), st.booleans(), st.booleans())
def test_garbage_raises_one_error_type(data: bytes, protective: bool, header: bool) -> None:  # noqa: FBT001
    raw = bytearray(data)
    if protective:
        raw[:512] = boot_record((0, 0xEE, 1, 100))
    if header:
        raw[512:520] = b"EFI PART"
        raw[524:528] = struct.pack("<I", 92)
    with contextlib.suppress(TableError):
        assert table_of(raw).regions


def test_a_moved_header_is_valid_in_its_new_place(gpt_disk: bytearray) -> None:
    header = gpt.parse_header(bytes(gpt_disk[512:1024]), 1)
    moved = header.moved(position=999, alternate=1, last_usable=900, entries=967)
    again = gpt.parse_header(moved, 999)
    assert (again.position, again.alternate, again.entries) == (999, 1, 967)
    assert struct.unpack_from("<QQ", moved, 40) == (34, 900)
    assert again.entries_crc == header.entries_crc


def test_the_protective_mbr_covers_the_larger_disk_and_keeps_its_code(
    gpt_disk: bytearray,
) -> None:
    resized = gpt.resized_protective_mbr(bytes(gpt_disk[:512]), 1 << 20)
    assert struct.unpack_from("<I", resized, 446 + 12) == ((1 << 20) - 1,)
    assert resized[:446] == gpt_disk[:446]
    huge = gpt.resized_protective_mbr(resized, 1 << 40)
    assert struct.unpack_from("<I", huge, 446 + 12) == (0xFFFFFFFF,)


def test_a_hybrid_mbr_is_not_resized() -> None:
    hybrid = boot_record((0, 0xEE, 1, 2047), (0x80, 0x83, 2048, 100))
    assert gpt.resized_protective_mbr(hybrid, 1 << 20) == hybrid
