"""Partitions and file systems that take the free space of a larger disk, with the real tools."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from builders.drift import verify

from agent.imaging.capture import capture
from agent.imaging.errors import RefusedDiskError
from agent.imaging.manifest import Manifest
from agent.imaging.restore import RestoreResult, restore
from tests.protocol.imaging_disks import (
    MIB,
    MemoryStore,
    blank,
    described,
    ignore,
    loop,
    noise,
    run,
    table,
    vfat,
)

pytestmark = pytest.mark.needs_root

START = 17 * MIB
MADE = {
    "ext4": ("mkfs.ext4 -q -F", 48),
    "ext2": ("mkfs.ext2 -q -F", 48),
    "xfs": ("mkfs.xfs -q -f", 320),
    "btrfs": ("mkfs.btrfs -q -f", 160),
    "ntfs": ("mkfs.ntfs -q -F -f", 48),
}
CHECKS = {
    "ext4": "e2fsck -f -n",
    "ext2": "e2fsck -f -n",
    "xfs": "xfs_repair -n",
    "btrfs": "btrfs check",
    "ntfs": "ntfsfix --no-action",
}


def partitioned(path: Path, label: str, filesystem: str) -> tuple[Path, int]:
    """Return a disk with a FAT and a last partition of this file system; and its size."""
    command, size = MADE[filesystem]
    blank(path, START + size * MIB + MIB)
    first = "U" if label == "gpt" else "ef"
    table(
        path, f"label: {label}\nstart=1MiB, size=16MiB, type={first}\nstart=17MiB, size={size}MiB\n"
    )
    vfat(path, MIB, 16 * MIB)
    with loop(path, "--offset", str(START), "--sizelimit", str(size * MIB)) as node:
        run(*command.split(), node)
        fill(node, path.with_suffix(".mounted"), filesystem)
    return path, size * MIB


def fill(node: str, folder: Path, filesystem: str) -> None:
    """Write a file, so that growing has something to keep."""
    folder.mkdir()
    content = folder.with_suffix(".content")
    content.write_bytes(noise(3 * MIB))
    if filesystem == "ntfs":  # this kernel has no NTFS, and FUSE writes after the unmount
        run("ntfscp", node, content, "file")
        return
    run("mount", "-t", filesystem, node, folder)
    try:
        shutil.copy(content, folder / "file")
    finally:
        run("umount", folder)


def captured(path: Path) -> tuple[Manifest, MemoryStore]:
    store = MemoryStore()
    with loop(path) as node:
        return capture(described(node), store, ignore), store


def restored(image: tuple[Manifest, MemoryStore], target: Path, grow: str) -> RestoreResult:
    with loop(target) as node:
        return restore(image[0], described(node), image[1], ignore, grow=grow)


def partitions(disk: Path) -> list[tuple[int, int]]:
    """Return start and size in bytes, as sfdisk sees them in a table without errors."""
    assert "No errors detected" in run("sfdisk", "--verify", disk)
    found = json.loads(run("sfdisk", "--json", disk))["partitiontable"]["partitions"]
    return [(each["start"] * 512, each["size"] * 512) for each in found]


def checked(disk: Path, place: tuple[int, int], filesystem: str, folder: Path) -> int:
    """Check the file system with its own tool; return how many bytes it has."""
    with loop(disk, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
        run(*CHECKS[filesystem].split(), node)
        if filesystem == "ntfs":
            content = subprocess.run(
                ["ntfscat", "--force", node, "file"], check=True, capture_output=True
            )
            assert content.stdout == noise(3 * MIB)
            said = run("ntfsresize", "--info", "--force", node)
            return int(said.partition("Current volume size:")[2].split()[0])
        folder.mkdir(exist_ok=True)
        run("mount", "-o", "ro", "-t", filesystem, node, folder)
        try:
            assert (folder / "file").read_bytes() == noise(3 * MIB)
            return int(run("df", "--block-size=1", "--output=size", folder).split()[1])
        finally:
            run("umount", folder)


@pytest.mark.parametrize(
    ("label", "filesystem"),
    [
        *(("gpt", filesystem) for filesystem in MADE),
        ("dos", "ext4"),
        *(pytest.param("dos", each, marks=pytest.mark.nightly) for each in MADE if each != "ext4"),
    ],
)
def test_the_last_partition_takes_the_rest_of_a_larger_disk(
    tmp_path: Path, label: str, filesystem: str
) -> None:
    path, size = partitioned(tmp_path / "disk", label, filesystem)
    image = captured(path)
    larger = path.stat().st_size + 400 * MIB
    target = blank(tmp_path / "target", larger)
    first = restored(image, target, "last")
    assert first.partition_grown == 2
    places = partitions(target)
    assert places == [(MIB, 16 * MIB), (START, larger - START - MIB)]
    capacity = checked(target, places[1], filesystem, tmp_path / "check")
    assert capacity > size + 300 * MIB
    again = restored(image, target, "2")
    assert again.partition_grown == 2
    assert again.chunks_written < first.chunks_written
    assert partitions(target) == places
    assert checked(target, places[1], filesystem, tmp_path / "check") == capacity
    restored(image, target, "none")
    assert partitions(target)[1] == (START, size)
    assert verify(image[0], str(target)) == []


def three(path: Path, second: str, *, middle: int = 0, method: str = "mkfs.ext4 -q -F") -> Path:
    """Return an MBR disk with an ext4, maybe free space, and a partition of type ``second``."""
    blank(path, 128 * MIB)
    start = 41 + middle
    script = f"label: dos\nstart=1MiB, size=40MiB, type=83\nstart={start}MiB, {second}\n"
    table(path, script + "start=100MiB, size=20MiB, type=83\n" * ("type=5" in second))
    for first, size in ((1, 40), (100, 20)) if "type=5" in second else ((1, 40), (start, 40)):
        with loop(path, "--offset", str(first * MIB), "--sizelimit", str(size * MIB)) as node:
            run(*(method if first > 1 else "mkfs.ext4 -q -F").split(), node)
            if first == 1:
                fill(node, path.with_suffix(".mounted"), "ext4")
    return path


def test_a_partition_in_the_middle_grows_up_to_the_next_one(tmp_path: Path) -> None:
    image = captured(three(tmp_path / "disk", "size=40MiB, type=83", middle=20))
    target = blank(tmp_path / "target", 128 * MIB)
    assert restored(image, target, "1").partition_grown == 1
    assert partitions(target) == [(MIB, 60 * MIB), (61 * MIB, 40 * MIB)]
    assert checked(target, (MIB, 60 * MIB), "ext4", tmp_path / "check") > 50 * MIB
    with loop(target, "--offset", str(61 * MIB), "--sizelimit", str(40 * MIB)) as node:
        run("e2fsck", "-f", "-n", node)


def test_a_partition_that_has_the_rest_of_the_disk_stays_as_it_is(tmp_path: Path) -> None:
    path, size = partitioned(tmp_path / "disk", "gpt", "ext4")
    image = captured(path)
    target = blank(tmp_path / "target", path.stat().st_size)
    assert restored(image, target, "last").partition_grown == 0
    assert partitions(target) == partitions(path) == [(MIB, 16 * MIB), (START, size)]
    assert verify(image[0], str(target)) == []


@pytest.mark.parametrize(
    ("second", "method", "grow", "said"),
    [
        ("size=40MiB, type=83", "mkfs.ext4 -q -F", "1", "RW418: .*, and the next one begins at"),
        ("size=87MiB, type=5", "mkfs.ext4 -q -F", "1", "RW418: .* next one begins at 42991616"),
        ("size=87MiB, type=5", "mkswap", "last", "RW417: .* there is no way to grow swap"),
        ("size=40MiB, type=82", "mkswap", "2", "RW417: .* there is no way to grow swap"),
        ("size=40MiB, type=83", "true", "last", "RW417: .* no file system that is known"),
        ("size=40MiB, type=83", "true", "7", "RW417: .* no partition 7 to grow; .*: 1, 2"),
    ],
)
def test_what_cannot_grow_is_refused_before_the_first_write(
    tmp_path: Path, second: str, method: str, grow: str, said: str
) -> None:
    image = captured(three(tmp_path / "disk", second, method=method))
    target = blank(tmp_path / "target", 200 * MIB)
    with pytest.raises(RefusedDiskError, match=said):
        restored(image, target, grow)
    assert target.read_bytes() == bytes(200 * MIB)


def test_a_btrfs_that_would_have_less_than_the_kernel_makes_is_refused_before_the_first_write(
    tmp_path: Path,
) -> None:
    path, size = partitioned(tmp_path / "disk", "gpt", "btrfs")
    image = captured(path)
    missing = 256 * MIB - size
    small = blank(tmp_path / "small", path.stat().st_size + missing - MIB)
    said = r"RW417: partition 2 cannot be grown: its btrfs would have 267,386,880 bytes on this"
    with pytest.raises(RefusedDiskError, match=said):
        restored(image, small, "last")
    assert small.read_bytes() == bytes(small.stat().st_size)
    enough = blank(tmp_path / "enough", path.stat().st_size + missing)
    assert restored(image, enough, "last").partition_grown == 2
    assert partitions(enough)[1] == (START, 256 * MIB)
    assert checked(enough, (START, 256 * MIB), "btrfs", tmp_path / "check") == 256 * MIB


def test_a_file_system_that_is_not_clean_does_not_grow(tmp_path: Path) -> None:
    path, _ = partitioned(tmp_path / "disk", "gpt", "ext4")
    with path.open("r+b") as file:
        file.seek(START + 1024 + 58)
        file.write(b"\0\0")  # s_state: neither clean nor with errors
    image = captured(path)
    target = blank(tmp_path / "target", path.stat().st_size + 100 * MIB)
    with pytest.raises(RefusedDiskError, match=r"RW417: .* its ext4 was kept sector by sector: "):
        restored(image, target, "last")


def test_a_growth_that_fails_or_is_cut_leaves_a_disk_that_cannot_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = partitioned(tmp_path / "disk", "gpt", "ext4")
    image = captured(path)
    target = blank(tmp_path / "target", path.stat().st_size + 100 * MIB)

    class Cut(BaseException):
        """The machine loses power."""

    def half(node: Path) -> None:
        run("dd", "if=/dev/urandom", f"of={node}", "bs=1M", "count=8", "seek=2", "conv=notrunc")
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr("agent.commands.resize2fs.grow", half)
        with pytest.raises(Cut):
            restored(image, target, "last")
    raw = target.read_bytes()
    assert raw[:MIB] == bytes(MIB)
    assert b"EFI PART" not in raw[-512:]
    restored(image, target, "last")
    checked(target, partitions(target)[1], "ext4", tmp_path / "check")


def test_what_an_earlier_use_left_at_the_end_of_the_grown_partition_is_cleared(
    tmp_path: Path,
) -> None:
    path, _ = partitioned(tmp_path / "disk", "gpt", "ext4")
    image = captured(path)
    size = path.stat().st_size + 100 * MIB
    target = blank(tmp_path / "target", size)
    with target.open("r+b") as file:
        file.seek(size - MIB - 1024)
        file.write(b"Intel Raid ISM Cfg Sig. 1.3.00")
    assert restored(image, target, "last").formats_cleared == ("isw_raid_member",)


def record(*entries: tuple[int, int, int], code: bytes = b"") -> bytes:
    """Return a boot record whose entries are (type, start, sectors)."""
    packed = b"".join(struct.pack("<B3xB3xII", 0, *entry) for entry in entries)
    return code.ljust(446, b"\0") + packed.ljust(64, b"\0") + b"\x55\xaa"


def logical(path: Path, gap: int, filesystem: str = "ext4") -> tuple[Path, list[tuple[int, int]]]:
    """Return an MBR disk with two logical partitions, each ``gap`` sectors behind its record."""
    blank(path, 100 * MIB)
    base, second = 20 * 2048, 60 * 2048
    sizes = 30 * 2048, 38 * 2048 - gap
    with path.open("r+b") as file:
        file.write(record((0x83, 2048, 18 * 2048), (5, base, 78 * 2048)))
        file.seek(base * 512)
        file.write(record((0x83, gap, sizes[0]), (5, second - base, gap + sizes[1])))
        file.seek(second * 512)
        file.write(record((0x83, gap, sizes[1])))
    places = [((base + gap) * 512, sizes[0] * 512), ((second + gap) * 512, sizes[1] * 512)]
    for number, (start, size) in enumerate(places):
        with loop(path, "--offset", str(start), "--sizelimit", str(size)) as node:
            run(*MADE[filesystem][0].split(), node)
            fill(node, path.with_suffix(f".{number}"), filesystem)
    return path, places


@pytest.mark.parametrize("gap", [63, pytest.param(2048, marks=pytest.mark.nightly)])
def test_the_last_logical_partition_grows_with_the_extended_one(tmp_path: Path, gap: int) -> None:
    path, (first, second) = logical(tmp_path / "disk", gap)
    image = captured(path)
    target = blank(tmp_path / "target", 250 * MIB)
    result = restored(image, target, "last")
    assert result.partition_grown == 6
    grown = second[0], 249 * MIB - second[0]
    extended = 20 * MIB, 229 * MIB
    assert partitions(target) == [(MIB, 18 * MIB), extended, first, grown]
    assert checked(target, grown, "ext4", tmp_path / "check") > 150 * MIB
    assert checked(target, first, "ext4", tmp_path / "check") < 30 * MIB
    again = restored(image, target, "6")
    assert again.chunks_written < result.chunks_written
    assert checked(target, grown, "ext4", tmp_path / "check") > 150 * MIB
    restored(image, target, "none")
    assert partitions(target) == partitions(path)
    assert verify(image[0], str(target)) == []


def test_a_logical_partition_grows_up_to_the_next_ones_record(tmp_path: Path) -> None:
    path, (first, second) = logical(tmp_path / "disk", 2048)
    image = captured(path)
    target = blank(tmp_path / "target", 100 * MIB)
    assert restored(image, target, "5").partition_grown == 5
    grown = first[0], 60 * MIB - first[0]
    assert partitions(target) == [(MIB, 18 * MIB), (20 * MIB, 78 * MIB), grown, second]
    assert checked(target, grown, "ext4", tmp_path / "check") > 33 * MIB
    assert checked(target, second, "ext4", tmp_path / "check") < 37 * MIB


@pytest.mark.nightly
def test_a_logical_partition_that_is_cut_while_it_grows_is_restored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (first, second) = logical(tmp_path / "disk", 63)
    image = captured(path)
    target = blank(tmp_path / "target", 250 * MIB)

    class Cut(BaseException):
        """The machine loses power."""

    def half(node: Path) -> None:
        run("dd", "if=/dev/urandom", f"of={node}", "bs=64k", "count=64", "conv=notrunc")
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr("agent.commands.resize2fs.grow", half)
        with pytest.raises(Cut):
            restored(image, target, "last")
    raw = target.read_bytes()
    assert raw[:MIB] == bytes(MIB)
    assert raw[60 * MIB : 60 * MIB + 512] == bytes(512)
    restored(image, target, "last")
    grown = second[0], 249 * MIB - second[0]
    assert partitions(target)[2:] == [first, grown]
    assert checked(target, grown, "ext4", tmp_path / "check") > 150 * MIB
