"""File systems that were not left clean, as a crash leaves them, and those of other kinds."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.imaging.restore import restore
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.protocol.imaging_disks import (
    MIB,
    MemoryStore,
    blank,
    described,
    ext4,
    ignore,
    insert,
    loop,
    run,
    table,
)

pytestmark = pytest.mark.needs_root

JOURNAL = (
    "its journal holds changes that are not in the file system yet: "
    "mount it once and unmount it, or run e2fsck -f"
)
LOG = "its log holds changes that are not in the file system yet: mount it once and unmount it"


def mounted_copy(volume: Path, folder: Path) -> Path:
    """Return a copy of a volume taken while it is mounted and busy: what a power cut leaves."""
    place, copy = folder / "mnt", folder / "crashed"
    place.mkdir()
    run("mount", "-o", "loop", volume, place)
    try:
        for number in range(50):
            (place / f"file-{number}").write_bytes(b"allocated in the journal " * 1000)
        run("sync", "-f", place)
        shutil.copy(volume, copy)
    finally:
        run("umount", place)
    return copy


def disk_with(volume: Path, folder: Path) -> Path:
    disk = blank(folder / "disk", volume.stat().st_size + 2 * MIB)
    table(disk, f"label: gpt\nstart=1MiB, size={volume.stat().st_size // MIB}MiB\n")
    insert(disk, MIB, volume)
    return disk


def captured(volume: Path, folder: Path) -> tuple[Manifest, ImagedPartition]:
    manifest = capture(described(disk_with(volume, folder)), MemoryStore(), ignore)
    return manifest, manifest.partitions[0]


def test_a_crashed_ext4_is_kept_in_full_although_partclone_would_map_it(tmp_path: Path) -> None:
    volume = ext4(blank(tmp_path / "volume", 64 * MIB), 0, 64 * MIB)
    crashed = mounted_copy(volume, tmp_path)
    manifest, partition = captured(crashed, tmp_path)
    assert (partition.method, partition.reason) == ("full-sector", JOURNAL)
    assert manifest.used_bytes == 66 * MIB
    (tmp_path / "clean").mkdir()
    assert captured(volume, tmp_path / "clean")[1].method == "used-blocks"


def test_an_ext4_with_errors_is_kept_in_full(tmp_path: Path) -> None:
    volume = ext4(blank(tmp_path / "volume", 32 * MIB), 0, 32 * MIB)
    run("debugfs", "-w", "-R", "ssv state 3", volume)
    _, partition = captured(volume, tmp_path)
    assert partition.method == "full-sector"
    assert partition.reason == "errors were found in it: run e2fsck -f"


def test_an_ext4_past_its_mount_count_and_check_interval_is_mapped(tmp_path: Path) -> None:
    volume = ext4(blank(tmp_path / "volume", 32 * MIB), 0, 32 * MIB)
    run("tune2fs", "-c", "1", "-C", "5", "-i", "1d", "-T", "20200101", volume)
    _, partition = captured(volume, tmp_path)
    assert (partition.method, partition.reason) == ("used-blocks", "")


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (32 * 512 + 4, b"\xff\xff\xff\x07"),  # Windows: FAT[1] with the clean-shutdown bit off
        (0x41, b"\x01"),  # Linux
    ],
)
def test_a_fat_with_its_dirty_bit_is_kept_in_full(tmp_path: Path, offset: int, data: bytes) -> None:
    volume = blank(tmp_path / "volume", 40 * MIB)
    run("mkfs.vfat", "-F", "32", volume)
    with volume.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    _, partition = captured(volume, tmp_path)
    assert partition.method == "full-sector"
    assert partition.reason == (
        "it was not unmounted (its dirty bit is set): mount it and run fsck.fat -a, "
        "or chkdsk /f in Windows, which clear it"
    )


def test_an_exfat_with_its_dirty_bit_is_kept_in_full(tmp_path: Path) -> None:
    volume = blank(tmp_path / "volume", 40 * MIB)
    run("mkfs.exfat", volume)
    with volume.open("r+b") as file:
        file.seek(106)
        file.write(b"\x02")
    _, partition = captured(volume, tmp_path)
    assert partition.method == "full-sector"
    assert partition.reason == (
        "it was not unmounted (its dirty bit is set): run fsck.exfat, or chkdsk /f in Windows"
    )


def test_an_ntfs_that_windows_has_to_check_is_kept_in_full(tmp_path: Path) -> None:
    volume = blank(tmp_path / "volume", 40 * MIB)
    run("mkntfs", "-q", "-F", volume)
    run("ntfsfix", volume)  # asks Windows to check it
    _, partition = captured(volume, tmp_path)
    assert partition.method == "full-sector"
    assert partition.reason == (
        "Windows has to check it first (its dirty bit is set): run chkdsk /f, "
        "start Windows and shut it down fully (shutdown /s /t 0)"
    )


def kernel_mounts(kind: str) -> bool:
    return kind in Path("/proc/filesystems").read_text().split()


def test_a_crashed_xfs_is_kept_in_full_although_partclone_would_map_it(tmp_path: Path) -> None:
    volume = blank(tmp_path / "volume", 300 * MIB)
    run("mkfs.xfs", "-q", volume)
    _, partition = captured(mounted_copy(volume, tmp_path), tmp_path)
    assert (partition.method, partition.reason) == ("full-sector", LOG)


@pytest.mark.parametrize(
    ("program", "options", "size", "kind"),
    [
        ("mkfs.xfs", ("-q",), 300, "xfs"),
        ("mkfs.btrfs", ("-q",), 160, "btrfs"),
        ("mkntfs", ("-q", "-F"), 64, "ntfs"),
        ("mkntfs", ("-q", "-F", "-c", "65536"), 64, "ntfs"),
        ("mkfs.vfat", ("-F", "32"), 64, "vfat"),
        ("mkfs.ext4", ("-q", "-b", "1024", "-O", "^has_journal"), 32, "ext4"),
        ("mkfs.ext2", ("-q",), 32, "ext2"),
        ("mkfs.ext3", ("-q",), 32, "ext3"),
    ],
)
def test_a_clean_file_system_is_mapped_restored_and_tested(
    tmp_path: Path, program: str, options: tuple[str, ...], size: int, kind: str
) -> None:
    volume = blank(tmp_path / "volume", size * MIB)
    run(program, *options, volume)
    if kernel_mounts(kind):
        mounted_copy(volume, tmp_path)  # leaves files in the volume, and the volume clean
    disk = disk_with(volume, tmp_path)
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(disk), store, ignore)
    partition = manifest.partitions[0]
    assert (partition.filesystem, partition.method) == (kind, "used-blocks"), partition.reason
    assert manifest.used_bytes < disk.stat().st_size * 0.6
    digest = store.put_manifest(manifest_format.encode(manifest))
    outcome = run_restore_test(store, digest, tmp_path)
    assert outcome.ok, outcome
    target = blank(tmp_path / "target", disk.stat().st_size)
    restore(manifest, described(target), store, ignore)
    if kernel_mounts(kind):
        place = tmp_path / "restored"
        place.mkdir()
        with loop(target, "--offset", str(MIB), "--sizelimit", str(size * MIB)) as node:
            run("mount", "-o", "ro", node, place)
            try:
                found = (place / "file-49").read_bytes()
            finally:
                run("umount", place)
        assert found == b"allocated in the journal " * 1000


def test_a_partition_is_copied_where_loop_devices_are_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is a regular file can be captured without root."""
    volume = ext4(blank(tmp_path / "volume", 32 * MIB), 0, 32 * MIB)
    disk = disk_with(volume, tmp_path)
    with_loops = capture(described(disk), MemoryStore(), ignore)
    monkeypatch.setattr("agent.commands.losetup._CONTROL", Path("/nonexistent"))
    assert capture(described(disk), MemoryStore(), ignore) == with_loops
    assert with_loops.partitions[0].method == "used-blocks"


def test_a_block_device_whose_partitions_cannot_be_shown_is_kept_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = ext4(blank(tmp_path / "volume", 32 * MIB), 0, 32 * MIB)
    monkeypatch.setattr("agent.commands.losetup._CONTROL", Path("/nonexistent"))
    with loop(disk_with(volume, tmp_path)) as node:
        partition = capture(described(node), MemoryStore(), ignore).partitions[0]
    assert partition.method == "full-sector"
    assert partition.reason.startswith("the kernel shows no device for it, losetup failed")


def test_no_loop_device_is_left_behind(tmp_path: Path) -> None:
    volume = ext4(blank(tmp_path / "volume", 32 * MIB), 0, 32 * MIB)
    disk = disk_with(volume, tmp_path)
    capture(described(disk), MemoryStore(), ignore)
    listed = subprocess.run(
        ["losetup", "--associated", str(disk)], capture_output=True, check=True, text=True
    )
    assert listed.stdout == ""
