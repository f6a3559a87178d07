"""Disks that hold more than the first signature says: nothing of them is left out of an image."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from builders.drift import verify
from builders.member_labels import write_ddf_label, write_imsm_label, write_md_label

from agent.commands import blkid, sfdisk
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.device import open_device
from agent.imaging.manifest import Manifest
from agent.imaging.restore import restore
from agent.imaging.scan import SWAP_HEADER, scan
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.protocol.imaging_disks import (
    MIB,
    MemoryStore,
    blank,
    described,
    garbage,
    ignore,
    insert,
    loop,
    noise,
    run,
    table,
)

pytestmark = pytest.mark.needs_root

BTRFS_SUPERBLOCK = 64 << 10
BTRFS_SIZE = 4096
SWAP_SIGNATURE = 4086
HIBERNATED = b"S1SUSPEND\0"


def swap_area(path: Path, size: int) -> Path:
    blank(path, size).chmod(0o600)
    subprocess.run(["mkswap", path], check=True, capture_output=True)
    return path


def with_old_btrfs(path: Path) -> Path:
    """Leave the superblock of an earlier Btrfs in a file system, as mkfs without a wipe does."""
    old = blank(path.with_suffix(".btrfs"), 128 * MIB)
    run("mkfs.btrfs", "-q", old)
    with old.open("rb") as file:
        file.seek(BTRFS_SUPERBLOCK)
        superblock = file.read(BTRFS_SIZE)
    with path.open("r+b") as file:
        file.seek(BTRFS_SUPERBLOCK)
        file.write(superblock)
    return path


def boot_record(*entries: tuple[int, int, int]) -> bytes:
    """Return the last 66 bytes of an MBR; entries are (type, start, sectors)."""
    packed = b"".join(struct.pack("<4xB3xII", *entry) for entry in entries)
    return packed.ljust(64, b"\0") + b"\x55\xaa"


def write(path: Path, offset: int, data: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return path


def with_partition(folder: Path, content: Path, kind: str = "83") -> Path:
    size = content.stat().st_size
    disk = table(blank(folder / "disk", size + 2 * MIB), f"label: dos\nstart=1MiB, type={kind}\n")
    insert(disk, MIB, content)
    return disk


def scanned(disk: Path) -> Manifest:
    with open_device(str(disk)) as device:
        return scan(device)


def kept(disk: Path) -> tuple[str, str, str]:
    """Return file system, method and reason of the only partition, or of the whole disk."""
    (partition,) = scanned(disk).partitions
    return partition.filesystem, partition.method, partition.reason


def test_of_a_swap_area_only_the_header_is_kept(tmp_path: Path) -> None:
    disk = with_partition(tmp_path, swap_area(tmp_path / "swap", 16 * MIB), "82")
    assert kept(disk) == ("swap", "used-blocks", "")
    assert scanned(disk).used_bytes == MIB + SWAP_HEADER


def test_a_virtual_machines_disk_in_a_former_swap_area_is_kept_whole(tmp_path: Path) -> None:
    area = swap_area(tmp_path / "swap", 16 * MIB)
    write(area, 446, boot_record((0x83, 2048, 20480)))
    write(area, MIB, noise(2 * MIB))
    disk = with_partition(tmp_path, area, "82")
    reason = "it holds more than one thing: swap, mbr partition table"
    assert kept(disk) == ("", "full-sector", reason)


def test_a_swap_area_with_a_hibernated_system_is_kept_whole_and_says_so(tmp_path: Path) -> None:
    area = write(swap_area(tmp_path / "swap", 16 * MIB), SWAP_SIGNATURE, HIBERNATED)
    disk = with_partition(tmp_path, area, "82")
    reason = "it holds a hibernated system (swsuspend)"
    assert kept(disk) == ("swsuspend", "full-sector", reason)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda path: run("mkfs.ext4", "-q", blank(path, 32 * MIB)), "ext4, btrfs"),
        (lambda path: swap_area(path, 16 * MIB), "swap, btrfs"),
    ],
)
def test_an_old_superblock_under_the_present_file_system_is_named(
    tmp_path: Path, make: Callable[[Path], object], names: str
) -> None:
    area = tmp_path / "area"
    make(area)
    disk = with_partition(tmp_path, with_old_btrfs(area))
    assert kept(disk) == ("", "full-sector", f"it holds more than one thing: {names}")


@pytest.mark.parametrize(
    "command", ["mkfs.ext2 -q", "mkfs.ext4 -q", "mkfs.vfat", "mkfs.ntfs -q -F -f", "mkfs.xfs -q"]
)
def test_a_file_system_by_itself_is_one_thing(tmp_path: Path, command: str) -> None:
    area = blank(tmp_path / "area", 320 * MIB)
    run(*command.split(), area)
    assert blkid.probe(area, 0, 320 * MIB).several == ()


def test_the_empty_table_in_an_exfat_boot_sector_is_nothing(tmp_path: Path) -> None:
    area = blank(tmp_path / "area", 32 * MIB)
    run("mkfs.exfat", area)
    found = blkid.probe(area, 0, 32 * MIB)
    assert (found.filesystem, found.table, found.several) == ("exfat", "", ())


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (write_md_label, "linux_raid_member, gpt partition table"),
        (write_imsm_label, "isw_raid_member, gpt partition table"),
        (write_ddf_label, "ddf_raid_member, gpt partition table"),
    ],
)
def test_half_of_a_mirror_is_kept_whole_with_its_partitions(
    tmp_path: Path, label: Callable[[Path], Path], names: str
) -> None:
    disk = table(blank(tmp_path / "disk", 64 * MIB), "label: gpt\nstart=1MiB, size=32MiB\n")
    insert(disk, MIB, swap_area(tmp_path / "swap", 32 * MIB))
    image = scanned(label(disk))
    assert image.table == "gpt"
    assert image.used_bytes == image.disk_size
    assert [(part.number, part.method, part.reason) for part in image.partitions] == [
        (1, "full-sector", f"it holds more than one thing: {names}")
    ]


def test_a_file_system_over_the_whole_disk_whose_boot_sector_has_partitions_is_kept_whole(
    tmp_path: Path,
) -> None:
    disk = blank(tmp_path / "disk", 64 * MIB)
    run("mkfs.ext4", "-q", disk)
    write(disk, 446, boot_record((0x83, 2048, 20480)))
    reason = "it holds more than one thing: ext4, mbr partition table"
    assert kept(disk) == ("", "full-sector", reason)
    assert scanned(disk).used_bytes == 64 * MIB


def test_a_table_that_is_not_read_here_is_named(tmp_path: Path) -> None:
    disk = table(blank(tmp_path / "disk", 64 * MIB), "label: sun\n")
    assert kept(disk) == ("", "full-sector", "it holds a partition table of its own (sun)")


def test_an_old_file_system_under_a_table_that_only_linux_accepts_is_not_mapped(
    tmp_path: Path,
) -> None:
    """Linux cuts off a partition that runs past the disk's end; here it is no partition."""
    disk = blank(tmp_path / "disk", 64 * MIB)
    run("mkfs.ext4", "-q", disk)
    write(disk, 446, boot_record((0x83, 2048, 1 << 20)))
    reason = "it holds more than one thing: ext4, mbr partition table"
    assert kept(disk) == ("", "full-sector", reason)


def test_where_the_kernel_has_other_partitions_all_is_kept(tmp_path: Path) -> None:
    disk = table(blank(tmp_path / "disk", 64 * MIB), "label: dos\nstart=1MiB, size=16MiB\n")
    with loop(disk) as node:
        run("addpart", node, "1", str(2048), str(8192))
        try:
            manifest = capture(described(node), MemoryStore(), ignore)
        finally:
            run("delpart", node, "1")
    (partition,) = manifest.partitions
    assert partition.reason == "its mbr partition table and the partitions that Linux has differ"
    assert manifest.used_bytes == 64 * MIB


@pytest.mark.parametrize("size", [80 * MIB, 64 * MIB - 512], ids=["larger", "truncated"])
def test_a_gpt_whose_backup_is_not_at_the_disks_end_makes_a_usable_image(
    tmp_path: Path, size: int
) -> None:
    disk = blank(tmp_path / "disk", 64 * MIB)
    table(disk, "label: gpt\nstart=1MiB, size=32MiB\n")
    area = blank(tmp_path / "area", 32 * MIB)
    run("mkfs.ext4", "-q", area)
    insert(disk, MIB, area)
    with disk.open("r+b") as file:
        file.truncate(size)
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(disk), store, ignore)
    assert [(part.filesystem, part.method) for part in manifest.partitions] == [
        ("ext4", "used-blocks")
    ]
    digest = store.put_manifest(manifest_format.encode(manifest))
    outcome = run_restore_test(store, digest, tmp_path)
    assert outcome.ok, outcome
    target = garbage(tmp_path / "target", 96 * MIB)
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
        assert verify(manifest, node) == []
    assert run("sgdisk", "--verify", target).count("No problems found") == 1
    same = garbage(tmp_path / "same", size)
    restore(manifest, described(same), store, ignore)
    with same.open("rb") as restored, disk.open("rb") as original:
        assert restored.read(MIB) == original.read(MIB)


def test_a_damaged_primary_gpt_is_not_replaced_by_its_backup(tmp_path: Path) -> None:
    disk = table(blank(tmp_path / "disk", 64 * MIB), "label: gpt\nstart=1MiB, size=32MiB\n")
    write(disk, 512, bytes(512))
    reason = (
        "the partition table is damaged: LBA 1 has no GPT signature; the backup at LBA 131071 "
        "is intact, repair the table from it (gdisk or sgdisk)"
    )
    assert kept(disk) == ("", "full-sector", reason)
    found = sfdisk.read_table(disk, 512)
    assert found.remarks == (
        "The primary GPT table is corrupt, but the backup appears OK, so that will be used.",
    )
    assert len(found.entries) == 1


def test_a_disk_whose_first_logical_partition_was_deleted_is_read(tmp_path: Path) -> None:
    script = (
        "label: dos\nstart=1MiB, size=8MiB, type=5\n"
        "start=2MiB, size=1MiB, type=83\nstart=4MiB, size=1MiB, type=83\n"
    )
    disk = table(blank(tmp_path / "disk", 16 * MIB), script)
    write(disk, MIB + 446, bytes(16))  # the entry goes, the link stays
    printed = run("sfdisk", "--json", disk)
    assert printed.startswith("omitting empty partition (5)\n{")
    found = sfdisk.read_table(disk, 512)
    assert [(entry.type, entry.start) for entry in found.entries] == [
        ("0x05", MIB),
        ("0x83", 4 * MIB),
    ]
    (partition,) = scanned(disk).partitions
    assert (partition.number, partition.start) == (5, 4 * MIB)


LABELS = ["Büro", 'a "b" \\c $x', "日本語", "Ã¼", "  "]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("command", ["mkfs.ext4 -q -L", "mkswap -L"])
def test_a_label_comes_out_as_it_was_given(tmp_path: Path, command: str, label: str) -> None:
    area = blank(tmp_path / "area", 16 * MIB)
    run(*command.split(), label, area)
    assert scanned(area).partitions[0].label == label.rstrip()


def test_a_fat_label_is_read_in_the_code_page_of_dos(tmp_path: Path) -> None:
    area = blank(tmp_path / "area", 16 * MIB)
    run("mkfs.vfat", "-n", "XXXX", area)
    raw = area.read_bytes()
    area.write_bytes(raw.replace(b"XXXX       ", "BÜRO".encode("cp850") + b"       "))
    assert scanned(area).partitions[0].label == "BÜRO"
