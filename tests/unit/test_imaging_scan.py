import threading
from pathlib import Path

import pytest

from agent.commands.blkid import Signature
from agent.imaging.extent import Extent
from agent.imaging.flow import flow
from agent.imaging.gpt import BIOS_BOOT_TYPE
from agent.imaging.scan import EDGE, WHOLE_GAP, kept_gaps, kept_of_map, unmapped
from agent.imaging.sparse import copy_range

GIB = 1 << 30
MIB = 1 << 20


def test_small_gaps_are_kept_whole() -> None:
    slots = [Extent(MIB, 10 * MIB), Extent(12 * MIB, 7 * MIB)]
    assert kept_gaps(slots, 20 * MIB) == (
        Extent(0, MIB),
        Extent(11 * MIB, MIB),
        Extent(19 * MIB, MIB),
    )


def test_of_a_large_gap_its_ends_are_kept() -> None:
    slots = [Extent(MIB, MIB), Extent(3 * GIB, GIB)]
    assert kept_gaps(slots, 8 * GIB) == (
        Extent(0, MIB),
        Extent(2 * MIB, EDGE),
        Extent(3 * GIB - EDGE, EDGE),
        Extent(4 * GIB, EDGE),
        Extent(8 * GIB - EDGE, EDGE),
    )


def test_of_a_large_head_more_is_kept_because_boot_loaders_lie_there() -> None:
    assert kept_gaps([Extent(GIB, GIB)], 2 * GIB) == (
        Extent(0, WHOLE_GAP),
        Extent(GIB - EDGE, EDGE),
    )


def test_the_edges_of_a_mapped_partition_are_always_kept() -> None:
    assert kept_of_map([Extent(5 * MIB, 4096)], 9 * MIB) == (
        Extent(0, EDGE),
        Extent(5 * MIB, 4096),
        Extent(9 * MIB - EDGE, EDGE),
    )
    assert kept_of_map([], 4096) == (Extent(0, 4096),)


@pytest.mark.parametrize(
    ("found", "kind", "reason"),
    [
        (Signature("ext4"), "0x83", ""),
        (Signature("crypto_LUKS"), "0x83", "LUKS encryption: the container is kept whole"),
        (
            Signature("linux_raid_member"),
            "0xfd",
            "a member of a Linux software RAID: kept whole",
        ),
        (Signature("BitLocker"), "0x7", "there is no map of used blocks for BitLocker"),
        (
            Signature(several=("swap", "mbr partition table"), table="mbr"),
            "0x82",
            "it holds more than one thing: swap, mbr partition table",
        ),
        (Signature(table="mbr"), "0x83", "it holds a partition table of its own (mbr)"),
        (Signature("swsuspend"), "0x82", "it holds a hibernated system (swsuspend)"),
        (Signature(), "0x83", "no file system was recognised"),
        (Signature(), BIOS_BOOT_TYPE, "it holds boot code and no file system"),
    ],
)
def test_what_has_no_map_is_kept_in_full_with_the_reason(
    found: Signature, kind: str, reason: str
) -> None:
    assert unmapped(found, kind) == reason


def test_flow_keeps_order_and_bounds_what_is_begun() -> None:
    begun: list[int] = []
    results = flow(lambda item: begun.append(item) or item * 2, range(100), workers=2)
    assert next(results) == 0
    assert len(begun) <= 4
    assert list(results) == [item * 2 for item in range(1, 100)]


def test_flow_runs_items_side_by_side() -> None:
    barrier = threading.Barrier(2, timeout=10)
    assert len(list(flow(lambda _: barrier.wait(), range(2), workers=2))) == 2


def test_flow_raises_the_first_error_in_order_and_begins_nothing_after_it() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError(item)
        return item

    results = flow(work, range(1000), workers=2)
    with pytest.raises(ValueError, match="3"):
        list(results)
    assert max(begun) < 12


def test_a_part_of_a_sparse_file_is_copied_and_stays_sparse(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.truncate(64 * MIB)
        for offset in (10 * MIB - 100, 30 * MIB, 40 * MIB - 50):
            file.seek(offset)
            file.write(b"data" * 50)
    copy_range(source, 10 * MIB, 30 * MIB, target)
    with source.open("rb") as file:
        file.seek(10 * MIB)
        assert target.read_bytes() == file.read(30 * MIB)
    assert target.stat().st_blocks * 512 < MIB
