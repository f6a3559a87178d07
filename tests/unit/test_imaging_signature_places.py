"""Where signatures are looked for, and that what an image covers never is."""

from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.extent import Extent, aligned, clipped
from agent.imaging.signature_places import MAGICS, free_places

MIB = 1 << 20

_extents = st.builds(Extent, st.integers(0, 40 * MIB), st.integers(1, 4 * MIB))


@given(
    covered=st.lists(_extents, max_size=6),
    partitions=st.lists(_extents, max_size=3),
    sector_size=st.sampled_from((512, 4096)),
)
def test_a_place_is_in_free_sectors_of_the_disk(
    covered: list[Extent], partitions: list[Extent], sector_size: int
) -> None:
    disk = Extent(0, 48 * MIB)
    windows = [disk, *aligned(partitions, sector_size, disk.length)]
    kept = aligned(covered, sector_size, disk.length)
    before = -1
    for area, places in free_places(windows, kept, sector_size):
        assert area.offset > before
        before = area.end
        assert not list(clipped(kept, area))
        assert 0 <= area.offset < area.end <= disk.end
        for place in places:
            assert place.sectors.offset % sector_size == place.sectors.length % sector_size == 0
            assert area.offset <= place.sectors.offset <= place.offset
            assert place.offset + len(place.magic) <= place.sectors.end <= area.end


def test_places_at_the_end_follow_the_size() -> None:
    size = 100 * MIB + 37 * 512
    found = {
        (place.format, place.offset)
        for _, places in free_places([Extent(MIB, size)], (), 512)
        for place in places
    }
    end = MIB + size
    assert ("linux_raid_member", MIB + size // 4096 * 4096 - 8192) in found
    assert ("linux_raid_member", MIB + size // 65536 * 65536 - 65536) in found
    assert {("isw_raid_member", end - 1024), ("ddf_raid_member", end - 512)} <= found
    assert ("btrfs", MIB + 64 * MIB + 64) in found
    assert ("zfs_member", MIB + size // 262144 * 262144 - 262144 + 131072) in found


def test_a_magic_lies_in_one_sector() -> None:
    for magic in MAGICS:
        inside = (magic.superblock + magic.inside) % 512
        assert inside + len(magic.magic) <= 512
