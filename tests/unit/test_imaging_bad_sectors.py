"""Reading around sectors that fail, and what programs say of whose they are."""

import errno
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands import debugfs, dumpe2fs, ntfscluster, xfs_db
from agent.errors import CommandError
from agent.imaging import bad_sectors, losses
from agent.imaging.bad_sectors import BadSectors
from agent.imaging.errors import TooManyBadSectorsError, UnreadableSectorError
from agent.imaging.extent import Extent, clipped, common, merged, without
from agent.imaging.losses import Loss, Owner, Part

SECTOR = 512
SIZE = 1 << 20


class Medium:
    """A disk in memory of which sectors fail, for ever or so many times."""

    def __init__(self, failing: dict[int, int], code: int = errno.EIO) -> None:
        self.content = bytes(range(256)) * (SIZE // 256)
        self.failing = dict(failing)
        self.code = code
        self.reads: list[Extent] = []

    def read_once(self, view: memoryview, offset: int) -> None:
        self.reads.append(Extent(offset, len(view)))
        for sector in range(offset // SECTOR, -(-(offset + len(view)) // SECTOR)):
            if self.failing.get(sector, 0):
                self.failing[sector] -= 1
                raise OSError(self.code, "it failed")
        view[:] = self.content[offset : offset + len(view)]


def reader(*, skip: bool = True, unit: int = SECTOR, seconds: float = 0.0) -> BadSectors:
    """Return what deals with bad sectors; each look at the clock takes so many seconds."""
    times = iter(range(10**9))
    return BadSectors(
        "/dev/sda", unit, skip=skip, check=lambda: None, clock=lambda: seconds * next(times)
    )


def filled(bad: BadSectors, medium: Medium, offset: int = 0, length: int = SIZE) -> bytes:
    view = memoryview(bytearray(b"\xff" * length))
    bad.fill(medium.read_once, view, offset)
    return bytes(view)


EVER = 10**9


@given(
    failing=st.sets(st.integers(0, SIZE // SECTOR - 1), max_size=20),
    windows=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 48)), min_size=1, max_size=6),
    unit=st.sampled_from([512, 4096]),
)
def test_all_that_can_be_read_is_read_and_the_rest_is_zeros(
    failing: set[int], windows: list[tuple[int, int]], unit: int
) -> None:
    medium, bad = Medium(dict.fromkeys(failing, EVER)), reader(unit=unit)
    for start, count in windows:
        offset = start * SECTOR
        length = min(count * SECTOR, SIZE - offset)
        found = filled(bad, medium, offset, length)
        expected = bytearray(medium.content[offset : offset + length])
        for part in clipped(bad.unreadable, Extent(offset, length)):
            expected[part.offset - offset : part.end - offset] = bytes(part.length)
        assert found == expected
    lost = bad.unreadable
    assert lost == merged(lost)
    read = merged(Extent(start * SECTOR, count * SECTOR) for start, count in windows)
    asked = {sector for sector in failing if common((Extent(sector * SECTOR, 512),), read)}
    really = merged(Extent(sector * SECTOR, SECTOR) for sector in asked)
    assert not without(really, lost)
    if unit == SECTOR:
        assert lost == really


def test_a_sector_that_reads_at_a_later_try_is_not_lost() -> None:
    # The whole read, the piece, and one of three tries of the sector alone have failed.
    medium, bad = Medium({100: 3}), reader()
    assert filled(bad, medium) == medium.content
    assert bad.unreadable == ()


def test_a_sector_that_was_lost_stays_lost_and_is_not_asked_for_again() -> None:
    medium, bad = Medium({100: bad_sectors.TRIES + 2}), reader()
    first = filled(bad, medium)
    medium.reads.clear()
    assert filled(bad, medium) == first
    assert bad.unreadable == (Extent(100 * SECTOR, SECTOR),)
    assert not any(common((each,), bad.unreadable) for each in medium.reads)


def test_without_leave_to_skip_the_first_lost_sector_ends_it() -> None:
    with pytest.raises(UnreadableSectorError) as caught:
        filled(reader(skip=False), Medium({100: EVER, 200: EVER}))
    assert caught.value.offset == 100 * SECTOR


@pytest.mark.parametrize("code", [errno.ENODATA, errno.EILSEQ, errno.EREMOTEIO])
def test_what_the_kernel_says_of_a_bad_medium_is_known(code: int) -> None:
    bad = reader()
    filled(bad, Medium({100: EVER}, code))
    assert bad.unreadable == (Extent(100 * SECTOR, SECTOR),)


def test_other_errors_are_none_of_a_sector() -> None:
    with pytest.raises(OSError, match="it failed"):
        filled(reader(), Medium({100: EVER}, errno.EBADF))


@pytest.mark.parametrize(
    ("name", "value", "seconds", "said"),
    [
        ("MOST_LOST", 1024, 0.0, "more than 1,024 bytes of it cannot be read"),
        ("MOST_RANGES", 2, 0.0, "more than 2 places of it cannot be read"),
        ("MOST_SECONDS", 3.0, 1.0, "s of trying, cannot be read"),
    ],
)
def test_too_much_is_no_backup(
    monkeypatch: pytest.MonkeyPatch, name: str, value: float, seconds: float, said: str
) -> None:
    monkeypatch.setattr(bad_sectors, name, value)
    with pytest.raises(TooManyBadSectorsError, match=said):
        filled(reader(seconds=seconds), Medium(dict.fromkeys((1, 3, 5, 7), EVER)))


def test_a_stop_is_heard_while_sectors_are_tried_again() -> None:
    def stop() -> None:
        raise CommandError(["stop"], "was asked for", "")

    bad = BadSectors("/dev/sda", SECTOR, skip=True, check=stop, clock=lambda: 0.0)
    with pytest.raises(CommandError):
        filled(bad, Medium({1: EVER}))


# --- whose they are ---------------------------------------------------------------


def test_icheck_and_ncheck_are_understood() -> None:
    said = "Block\tInode number\n100\t7\n5000\t14\n1\t<block not found>\n"
    assert debugfs.parse_icheck(said) == {100: 7, 5000: 14}
    paths = "Inode\tPathname\n12\t//f1\n12\t//second\n13\t//folder/a\tb\n14\t<unlinked>\n"
    assert debugfs.parse_ncheck(paths) == {12: "/f1", 13: "/folder/a\tb"}


def test_dumpe2fs_is_understood() -> None:
    found = dumpe2fs.parse_structures(
        "Block size:               1024\n"
        "Journal inode:            8\n"
        "Group 0: (Blocks 1-8192) csum 0x9c85 [ITABLE_ZEROED]\n"
        "  Primary superblock at 1, Group descriptors at 2-2\n"
        "  Reserved GDT blocks at 3-258\n"
        "  Block bitmap at 259 (+258), csum 0x45abbbd7\n"
        "  Inode table at 275-786 (+274)\n"
        "Group 1: (Blocks 8193-16384) csum 0x7c13\n"
        "  Backup superblock at 8193, Group descriptors at 8194-8194\n"
    )
    assert (found.block_size, found.journal) == (1024, 8)
    assert [(each.name, each.group, each.first, each.last) for each in found.places] == [
        ("superblock", 0, 1, 1),
        ("group descriptors", 0, 2, 2),
        ("room for group descriptors", 0, 3, 258),
        ("block bitmap", 0, 259, 259),
        ("inode table", 0, 275, 786),
        ("superblock", 1, 8193, 8193),
        ("group descriptors", 1, 8194, 8194),
    ]


def test_ntfscluster_is_understood() -> None:
    said = "Inode 66 /f3/$DATA\nInode 69 /sub/$INDEX_ALLOCATION($I30)\n* 2 inodes found\n"
    assert ntfscluster.parse_owners(said) == (("/f3", "$DATA"), ("/sub", "$INDEX_ALLOCATION"))
    assert ntfscluster.parse_owners("* no inode found\n") == ()
    assert ntfscluster.parse_owners("Failed to mount\n") is None


def test_xfs_db_is_understood() -> None:
    said = "block 75 (0/75) type data inode 133 f3\nblock 1 (0/1) type btbno\n"
    assert xfs_db.parse_owners(said) == (("data", "f3"), ("btbno", ""))


@given(st.text(max_size=300))
def test_whatever_programs_print_is_one_kind_of_answer(text: str) -> None:
    debugfs.parse_icheck(text)
    debugfs.parse_ncheck(text)
    dumpe2fs.parse_structures(text)
    ntfscluster.parse_owners(text)
    xfs_db.parse_owners(text)


def test_losses_are_told_by_part_and_volumes_come_before_what_holds_them() -> None:
    parts = (
        Part("volume vg/root", "", (Extent(3000, 1000), Extent(1000, 1000))),
        Part("partition 1", "LVM2_member", (Extent(0, 5000),)),
    )

    def source(_: Extent) -> AbstractContextManager[Path]:
        raise CommandError(["losetup"], "failed", "")

    found = losses.losses(parts, (Extent(900, 200), Extent(5500, 10)), source)
    unknown = (Owner("unknown"),)
    assert list(found) == [
        Loss(Extent(1000, 100), "volume vg/root", unknown),
        Loss(Extent(900, 100), "partition 1, LVM2_member", unknown),
        Loss(Extent(5500, 10), "outside partitions", ()),
    ]


def test_only_the_first_losses_are_named_one_by_one() -> None:
    many = [Loss(Extent(place * 512, 512), "partition 1", ()) for place in range(25)]
    said = losses.words(many)
    assert said.startswith("512 bytes at byte 0: partition 1; 512 bytes at byte 512: partition 1; ")
    assert said.endswith("; and 5 more places")


def test_a_name_from_a_disk_does_not_steer_a_terminal() -> None:
    assert losses.shown("/a\x1b[2Jb\n" + "c" * 500) == "/a [2Jb " + "c" * 151 + "…"


def test_a_file_system_that_nobody_can_ask_says_nothing(tmp_path: Path) -> None:
    places = [Extent(0, 512)] * 3
    assert losses.owners("zfs", tmp_path, places) == [(Owner("unknown"),)] * 3
    empty = tmp_path / "empty"
    empty.write_bytes(bytes(1 << 20))
    assert losses.owners("ext4", empty, places) == [(Owner("unknown"),)] * 3
