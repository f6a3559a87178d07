"""Captures of block devices with sectors that cannot be read, and what becomes of the images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

import pytest

from agent.errors import CodedError
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.extent import Extent
from agent.imaging.manifest import Manifest
from agent.imaging.partition_choice import Choice
from agent.imaging.restore import restore
from providers.imaging.image_record import RestoreTest
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.builders.failing_disk import fail, failing_disk
from tests.protocol.imaging_disks import (
    MIB,
    blank,
    described,
    gpt_disk,
    ignore,
    insert,
    mbr_disk,
    noise,
    run,
    table,
    tree,
)
from tests.protocol.lvm_disks import lvm, write_volume

if TYPE_CHECKING:
    from agent.imaging.losses import Loss

pytestmark = pytest.mark.needs_root

ROOT = 18 * MIB
"""Where the ext4 of ``gpt_disk`` begins."""
BLOCK = 4096


class Capture:
    """What a capture of a failing disk brought, and the disk's bytes behind it."""

    def __init__(self, disk: Path, folder: Path) -> None:
        self.disk = disk
        self.store = ChunkStore(folder / "store", reserve=0)
        self.lost: list[Loss] = []
        self._folder = folder
        self._taken = 0

    def take(self, *ranges: tuple[int, int], times: int = -1, skip: bool = True) -> Manifest:
        """Capture while reads of these ranges fail."""
        self._taken += 1
        folder = self._folder / f"try-{self._taken}"
        folder.mkdir()
        self.lost = []
        with failing_disk(self.disk, folder) as (node, control):
            fail(control, *ranges, times=times)
            return capture(
                described(node), self.store, ignore, on_loss=self.lost.extend if skip else None
            )

    def refusal(self, *ranges: tuple[int, int], skip: bool = False) -> str:
        with pytest.raises(CodedError) as caught:
            self.take(*ranges, skip=skip)
        return str(caught.value)

    def tested(self, image: Manifest) -> RestoreTest:
        digest = self.store.put_manifest(manifest_format.encode(image))
        return run_restore_test(self.store, digest, self._folder)


@pytest.fixture
def golden(tmp_path: Path) -> Capture:
    content = tree(tmp_path / "tree", 1, 6 * MIB)
    return Capture(gpt_disk(tmp_path / "disk", content, 64 * MIB), tmp_path)


def block_of(disk: Path, path: str, number: int, start: int = ROOT) -> int:
    """Return where on the disk block ``number`` of a file in an ext4 lies."""
    found = run("debugfs", "-R", f"bmap {path} {number}", f"{disk}?offset={start}")
    return start + int(found) * BLOCK


def words(capture: Capture) -> list[str]:
    return [str(each) for each in capture.lost]


def test_a_backup_ends_with_place_and_file_of_the_first_unreadable_sector(golden: Capture) -> None:
    place = block_of(golden.disk, "/file-0", 3) + 512
    node = "/dev/loop"
    said = golden.refusal((place, 512))
    assert said.startswith(f"RW423: {node}")
    assert said.partition(" cannot")[2] == (
        f" be read at byte {place:,} (sector {place // 512:,}): partition 3, ext4: the file "
        "/file-0. Look at the disk's SMART values and replace it. A backup of all that can be "
        "read is made with `onBadSector: skip-and-mark`."
    )


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("offset", "place"),
    [
        (ROOT + 1024, "partition 3"),  # the ext4's superblock
        (2 * MIB + 8192, "partition 2: nobody knows of what"),
        (34 * 512 + 65536, "outside partitions"),
        (1 * MIB + 65536, "partition 1: nobody knows of what"),
    ],
)
def test_what_else_may_lie_at_an_unreadable_sector_is_named(
    golden: Capture, offset: int, place: str
) -> None:
    assert f"(sector {offset // 512:,}): {place}" in golden.refusal((offset, 512))


@pytest.mark.nightly
def test_a_sector_of_the_partition_table_ends_the_backup_by_default(golden: Capture) -> None:
    assert "cannot be read at byte 512 (sector 1). Look" in golden.refusal((512, 512))


def test_a_sector_that_is_read_at_a_later_try_is_not_lost(golden: Capture) -> None:
    place = block_of(golden.disk, "/file-0", 3)
    sound = golden.take(skip=False)
    assert golden.take((place, 512), times=2, skip=False) == sound
    assert golden.take((ROOT + BLOCK, 512), times=2) == sound
    assert golden.lost == []


def test_only_sectors_that_cannot_be_read_are_zeros_and_the_restore_says_so(
    golden: Capture, tmp_path: Path
) -> None:
    place = block_of(golden.disk, "/file-0", 3)
    image = golden.take((place + 512, 512), (place + 2048, 1024))
    assert image.unreadable == (Extent(place + 512, 512), Extent(place + 2048, 1024))
    assert words(golden) == [
        f"512 bytes at byte {place + 512:,}: partition 3, ext4: the file /file-0",
        f"1,024 bytes at byte {place + 2048:,}: partition 3, ext4: the file /file-0",
    ]
    target = blank(tmp_path / "target", image.disk_size)
    result = restore(image, described(target), golden.store, ignore)
    assert result.bytes_unreadable == 1536
    was, now = golden.disk.read_bytes(), target.read_bytes()
    expected = bytearray(was[place : place + BLOCK])
    expected[512:1024], expected[2048:3072] = bytes(512), bytes(1024)
    assert now[place : place + BLOCK] == expected
    run("e2fsck", "-fn", f"{target}?offset={ROOT}")
    for name in ("file-1", "file-2", "file-3"):
        run("debugfs", "-R", f"dump /{name} {tmp_path}/{name}", f"{target}?offset={ROOT}")
        assert (tmp_path / name).read_bytes() == (tmp_path / "tree" / name).read_bytes()


def test_an_image_without_the_content_of_a_file_is_good_and_names_the_file(golden: Capture) -> None:
    place = block_of(golden.disk, "/file-0", 3)
    image = golden.take((place, 512))
    assert golden.tested(image).ok
    outcome = golden.tested(image)
    assert outcome.losses == (f"512 bytes at byte {place:,}: partition 3, ext4: the file /file-0",)
    assert outcome.details[-1] == "partition 3, ext4: 512 bytes that were unreadable are zeros"
    record = golden.store.record(manifest_format.digest(manifest_format.encode(image)))
    assert record.unreadable_bytes == 512


def test_a_restore_of_partitions_reports_their_losses_alone(
    golden: Capture, tmp_path: Path
) -> None:
    image = golden.take((block_of(golden.disk, "/file-0", 3), 512))
    target = tmp_path / "target"
    for number, lost in ((2, 0), (3, 512)):
        copyfile(golden.disk, target)
        done = restore(image, described(target), golden.store, ignore, choice=Choice((number,)))
        assert done.bytes_unreadable == lost


def structure(disk: Path, name: str, start: int = ROOT, block: int = BLOCK) -> int:
    """Return where on the disk a structure of the first block group lies."""
    said = run("dumpe2fs", f"{disk}?offset={start}")
    line = next(line for line in said.splitlines() if name in line)
    return start + int(line.partition(" at ")[2].partition("-")[0].split()[0].rstrip(",")) * block


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Block bitmap", marks=pytest.mark.nightly),
        pytest.param("Inode bitmap", marks=pytest.mark.nightly),
        "Inode table",
    ],
)
def test_an_image_that_lost_metadata_is_not_good(golden: Capture, name: str) -> None:
    place = structure(golden.disk, name)
    image = golden.take((place, 512))
    outcome = golden.tested(image)
    assert not outcome.ok, outcome
    assert outcome.losses == (
        f"512 bytes at byte {place:,}: partition 3, ext4: its {name.lower()} (block group 0)",
    )
    # On the disk itself, debugfs may fail by what is lost: then nothing is called unused.
    assert words(golden)[0].endswith((f"its {name.lower()} (block group 0)", "knows of what"))


@pytest.mark.nightly
def test_a_map_is_never_made_of_sectors_that_cannot_be_read(tmp_path: Path) -> None:
    golden = Capture(blank(tmp_path / "disk", 64 * MIB), tmp_path)
    run("mkfs.ext4", "-q", "-b", "1024", golden.disk)
    assert golden.take().partitions[0].method == "used-blocks"
    lost = structure(golden.disk, "Block bitmap", 0, 1024)
    root = golden.take((lost, 512)).partitions[0]
    assert (root.filesystem, root.method) == ("ext4", "full-sector")
    assert root.reason == "a sector that may say what it holds cannot be read"
    assert "RW423" in golden.refusal((lost, 512))


def test_a_partition_whose_label_cannot_be_read_is_kept_whole_and_not_good(golden: Capture) -> None:
    image = golden.take((ROOT + 1024, 512))
    root = image.partitions[2]
    assert (root.filesystem, root.method) == ("", "full-sector")
    assert root.reason == "a sector that may say what it holds cannot be read"
    outcome = golden.tested(image)
    assert not outcome.ok
    assert outcome.details[-1] == (
        "partition 3: 512 bytes that were unreadable are zeros: nobody can say what it holds "
        "any more"
    )


LABELS = {
    "ext4": (("mkfs.ext4", "-q", "-F"), 48, (1024,)),
    "xfs": (("mkfs.xfs", "-q", "-f"), 320, (0,)),
    "btrfs": (("mkfs.btrfs", "-q", "-f"), 160, (65536,)),
    "ntfs": (("mkntfs", "-q", "-F", "-f"), 48, (0,)),
    "vfat": (("mkfs.vfat", "-F", "32"), 80, (0,)),
    "exfat": (("mkfs.exfat",), 48, (0,)),
    "f2fs": (("mkfs.f2fs", "-q", "-f"), 64, (1024,)),
    "swap": (("mkswap",), 16, (1024, 4096 - 512)),
}
"""How each kind is made, of how many MiB, and where its label lies."""


@pytest.mark.parametrize("start", [1, pytest.param(2, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", ["gpt", pytest.param("dos", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "filesystem",
    [pytest.param(each, marks=() if each == "ext4" else pytest.mark.nightly) for each in LABELS],
)
def test_the_lost_label_of_the_first_partition_is_seen_as_that_of_others(
    tmp_path: Path, filesystem: str, kind: str, start: int
) -> None:
    """Where it begins, other formats have something on a whole disk, so that blkid ends there."""
    command, size, offsets = LABELS[filesystem]
    volume = blank(tmp_path / "volume", size * MIB)
    volume.chmod(0o600)  # as mkswap wants it
    run(*command, volume)
    disk = blank(tmp_path / "disk", (start + size + 1) * MIB)
    table(disk, f"label: {kind}\nstart={start}MiB, size={size}MiB\n")
    insert(disk, start * MIB, volume)
    golden = Capture(disk, tmp_path)
    for offset in offsets:
        image = golden.take((start * MIB + offset, 512))
        (first,) = image.partitions
        assert (first.filesystem, first.method) == ("", "full-sector")
        assert not golden.tested(image).ok


def test_a_harmless_bad_sector_hides_no_other_loss(golden: Capture) -> None:
    unused_entries = 10240
    image = golden.take((unused_entries, 512))
    assert [each.filesystem for each in image.partitions] == ["", "vfat", "ext4", "swap"]
    assert image.partitions[2].method == "used-blocks"
    assert golden.tested(image).ok
    for lost in (ROOT + 1024, structure(golden.disk, "Inode table")):
        assert not golden.tested(golden.take((unused_entries, 512), (lost, 512))).ok
        backup_table = golden.disk.stat().st_size - 512
        assert not golden.tested(golden.take((backup_table, 512), (lost, 512))).ok


def test_a_bad_sector_elsewhere_does_not_refuse_a_backup_of_one_partition(
    golden: Capture, tmp_path: Path
) -> None:
    for offset in (10240, MIB, 2 * MIB):
        folder = tmp_path / f"at-{offset}"
        folder.mkdir()
        with failing_disk(golden.disk, folder) as (node, control):
            fail(control, (offset, 512))
            disk, lost = described(node), golden.lost
            image = capture(disk, golden.store, ignore, partitions={3}, on_loss=lost.extend)
        assert image.partitions[2].method == "used-blocks"
        assert golden.tested(image).ok


def test_lost_boot_code_of_a_disk_that_starts_by_bios_is_not_good(tmp_path: Path) -> None:
    disk = mbr_disk(tmp_path / "disk", tree(tmp_path / "tree", 1, 6 * MIB))
    golden = Capture(disk, tmp_path)
    without = golden.take((1024, 512))
    assert golden.tested(without).ok == (not without.firmware.bios)
    with disk.open("r+b") as file:
        file.write(b"\xeb\x63\x90")
    outcome = golden.tested(golden.take((1024, 512)))
    assert not outcome.ok
    assert outcome.details[-1] == (
        "outside partitions: 512 bytes that were unreadable are zeros: code that starts the "
        "machine by BIOS may be among them"
    )


@pytest.mark.nightly
def test_lost_boot_code_in_a_partition_for_it_is_not_good(golden: Capture) -> None:
    for offset in (512, 8192, 256 << 10):
        assert not golden.tested(golden.take((MIB + offset, 512))).ok


@pytest.mark.parametrize("full", [False, True])
def test_lost_metadata_of_a_file_system_on_lvm_is_not_good(tmp_path: Path, *, full: bool) -> None:
    disk = blank(tmp_path / "disk", 64 * MIB)
    table(disk, "label: gpt\nstart=1MiB, size=62MiB, type=E6D6D379-F507-44C2-A23C-238F2A3DF928\n")
    with lvm(disk, Extent(MIB, 62 * MIB)) as tools:
        tools("pvcreate", "-ff", "-y", tools.nodes[0])
        tools("vgcreate", "-s", "4M", "vg", tools.nodes[0])
        tools.create("vg", "root", "48M")
        (piece,) = pieces = tools.pieces("vg", "root")
    volume = blank(tmp_path / "root", 48 * MIB)
    content = tree(tmp_path / "tree", 1, 6 * MIB)
    run("mkfs.ext4", "-q", "-F", "-b", "4096", "-d", content, volume)
    write_volume(disk, pieces, volume)
    golden = Capture(disk, tmp_path)
    lost = structure(disk, "Inode table", piece.offset) + 512
    data = block_of(disk, "/file-0", 3, piece.offset)
    for place, good in ((lost, False), (data, True)):
        folder = tmp_path / f"at-{place}"
        folder.mkdir()
        with failing_disk(disk, folder) as (node, control):
            fail(control, (place, 512))
            image = capture(
                described(node), golden.store, ignore, full=full, on_loss=golden.lost.extend
            )
        assert [each.name for each in image.volumes] == ["root"]
        outcome = golden.tested(image)
        assert outcome.ok == good, outcome
        assert outcome.losses[0].startswith(f"512 bytes at byte {place:,}: volume vg/root")


@pytest.mark.nightly
def test_a_sector_of_the_map_that_fails_in_the_middle_begins_another_round(
    golden: Capture, tmp_path: Path
) -> None:
    place = structure(golden.disk, "Block bitmap")
    (tmp_path / "late").mkdir()
    with failing_disk(golden.disk, tmp_path / "late") as (node, control):

        def progress(done: int, _total: int) -> None:
            if done:
                fail(control, (place, 512))

        image = capture(described(node), golden.store, progress, on_loss=golden.lost.extend)
    assert image.unreadable == (Extent(place, 512),)
    assert image.partitions[2].method == "full-sector"
    assert not golden.tested(image).ok


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("offset", "filesystem", "reason"),
    [
        (ROOT + 1024, "", "a sector that may say what it holds cannot be read"),
        (ROOT + 32768, "ext4", "every sector was asked for"),
    ],
)
def test_a_full_backup_knows_as_much_of_what_it_lost(
    golden: Capture, tmp_path: Path, offset: int, filesystem: str, reason: str
) -> None:
    (tmp_path / "full").mkdir()
    with failing_disk(golden.disk, tmp_path / "full") as (node, control):
        fail(control, (offset, 512))
        lost: list[Loss] = []
        image = capture(described(node), golden.store, ignore, full=True, on_loss=lost.extend)
    root = image.partitions[2]
    assert (root.filesystem, root.method, root.reason) == (filesystem, "full-sector", reason)
    assert not golden.tested(image).ok or filesystem


@pytest.mark.nightly
def test_a_lost_copy_of_the_partition_table_costs_no_partition(golden: Capture) -> None:
    image = golden.take((golden.disk.stat().st_size - 512, 512))
    assert [each.filesystem for each in image.partitions] == ["", "vfat", "ext4", "swap"]
    assert {each.method for each in image.partitions} == {"full-sector"}
    assert golden.tested(image).ok


@pytest.mark.nightly
def test_a_lost_partition_table_is_not_good(golden: Capture) -> None:
    image = golden.take((512, 512))
    assert image.table == "none"
    assert not golden.tested(image).ok


def test_without_its_first_sector_there_is_no_backup_of_a_disk(golden: Capture) -> None:
    said = golden.refusal((0, 512), skip=True)
    assert said.startswith("RW424: ")
    assert "too damaged for a backup: its first sector, which says what is on it, cannot" in said


def test_a_disk_of_which_too_much_is_unreadable_is_not_captured(
    golden: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.imaging.bad_sectors.MOST_LOST", 4096)
    place = block_of(golden.disk, "/file-0", 3)
    said = golden.refusal((place, 8192), skip=True)
    assert "RW424: " in said
    assert "too damaged for a backup: more than 4,096 bytes of it cannot be read" in said


# --- other file systems -----------------------------------------------------------


@contextmanager
def filled(kind: str, folder: Path, size: int = 64 * MIB) -> Iterator[Path]:
    """Provide a volume with files and a folder in it."""
    volume, place = blank(folder / "volume", size), folder / "mnt"
    commands = {
        "ntfs": ("mkntfs", "-q", "-F", volume),
        "vfat": ("mkfs.vfat", "-F", "16", volume),
        "xfs": ("mkfs.xfs", "-q", volume),
        "btrfs": ("mkfs.btrfs", "-q", volume),
    }
    run(*commands[kind])
    content = tree(folder / "tree", 1, 3 * MIB)
    for number in range(400):
        (content / "folder").mkdir(exist_ok=True)
        (content / "folder" / f"a-file-with-a-long-name-{number}").touch()
    place.mkdir()
    if kind == "vfat":
        run("mcopy", "-s", "-i", volume, *sorted(content.iterdir()), "::/")
    else:
        if kind == "ntfs":
            run("ntfs-3g", volume, place)
        else:
            run("mount", "-o", "loop", volume, place)
        try:
            run("cp", "-r", *sorted(content.iterdir()), place)
        finally:
            run("umount", place)
    yield volume


def on_disk(volume: Path, folder: Path) -> Capture:
    size = volume.stat().st_size
    disk = blank(folder / "disk", size + 2 * MIB)
    table(disk, f"label: gpt\nstart=1MiB, size={size // MIB}MiB\n")
    insert(disk, MIB, volume)
    return Capture(disk, folder)


def where(disk: Path, wanted: bytes) -> int:
    """Return where bytes lie on a disk; they begin a sector."""
    found = disk.read_bytes().find(wanted)
    assert found > 0, wanted
    assert found % 512 == 0, wanted
    return found


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("kind", "size", "name", "owner"),
    [
        ("ntfs", 64, "file-1", "the file /file-1"),
        ("vfat", 64, "file-3", "nobody knows of what"),  # the RAM system has no program that knows
        ("xfs", 320, "file-1", "nobody knows of what"),
        ("btrfs", 160, "file-1", "nobody knows of what"),
    ],
)
def test_lost_content_of_files_is_found_in_other_file_systems(
    tmp_path: Path, kind: str, size: int, name: str, owner: str
) -> None:
    with filled(kind, tmp_path, size * MIB) as volume:
        golden = on_disk(volume, tmp_path)
    first = (tmp_path / "tree" / name).read_bytes()[:512]
    place = where(golden.disk, first)
    image = golden.take((place, 512))
    assert (image.partitions[0].filesystem, image.partitions[0].method) == (kind, "used-blocks")
    assert words(golden) == [f"512 bytes at byte {place:,}: partition 1, {kind}: {owner}"]
    outcome = golden.tested(image)
    assert outcome.ok, outcome
    told = {"vfat": "the file /FILE-3", "xfs": "the file /file-1"}.get(kind, owner)
    assert outcome.losses[0].endswith(f"partition 1, {kind}: {told}")


@pytest.mark.nightly
def test_every_file_of_an_xfs_that_lost_something_is_named(tmp_path: Path) -> None:
    with filled("xfs", tmp_path, 320 * MIB) as volume:
        place = tmp_path / "mnt"
        run("mount", "-o", "loop", volume, place)
        try:
            for number in range(6):
                (place / f"small-{number}").write_bytes(noise(BLOCK, 100 + number))
        finally:
            run("umount", place)
    golden = on_disk(volume, tmp_path)
    places = sorted(where(golden.disk, noise(512, 100 + number)) for number in range(6))
    first = next(
        place
        for place, third in zip(places, places[2:], strict=False)
        if third == place + 2 * BLOCK
    )
    outcome = golden.tested(golden.take((first, 3 * BLOCK)))
    assert outcome.ok, outcome
    assert outcome.losses[0].count("the file /small-") == 3


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "name"), [("ntfs", b"INDX"), ("vfat", b".          \x10")])
def test_a_lost_folder_is_found_though_the_checker_says_nothing(
    tmp_path: Path, kind: str, name: bytes
) -> None:
    with filled(kind, tmp_path) as volume:
        golden = on_disk(volume, tmp_path)
    sound = golden.disk.read_bytes()
    folder = sound.find(name, sound.find(name) + 1) if kind == "ntfs" else sound.find(name)
    assert folder % 512 == 0
    outcome = golden.tested(golden.take((folder, 512)))
    assert not outcome.ok
    assert "are zeros: " in outcome.details[-1], outcome
