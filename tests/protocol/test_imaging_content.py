"""Every file of every file system survives capture, restore test and restore.

Restored to a disk full of garbage, so that a block which the map forgets is seen.
"""

import hashlib
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import attrs
import pytest

from agent.imaging import fat
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.extent import Extent, total, without
from agent.imaging.manifest import Manifest
from agent.imaging.restore import restore
from providers.imaging.image_record import RestoreTest
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.protocol.imaging_disks import (
    MIB,
    blank,
    described,
    garbage,
    ignore,
    loop,
    noise,
    run,
)

pytestmark = pytest.mark.needs_root


@contextmanager
def mounted(volume: Path, *options: str) -> Iterator[Path]:
    place = volume.with_suffix(".mnt")
    place.mkdir(exist_ok=True)
    run("mount", *options, volume, place)
    try:
        yield place
        run("sync", "-f", place)  # another mount namespace may keep it mounted for a moment
    finally:
        run("umount", place)


def hashes(folder: Path) -> dict[str, str]:
    """Return every file's path and digest, every link's target and every folder's path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.blake2b(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder"
    return found


def proved(disk: Path, folder: Path) -> tuple[Manifest, ChunkStore, RestoreTest]:
    store = ChunkStore(folder / "store", reserve=0)
    manifest = capture(described(disk), store, ignore)
    digest = store.put_manifest(manifest_format.encode(manifest))
    return manifest, store, run_restore_test(store, digest, folder)


def round_trip(disk: Path, folder: Path) -> tuple[Manifest, Path]:
    """Capture, run the restore test and restore to garbage; return image and target."""
    manifest, store, outcome = proved(disk, folder)
    assert outcome.ok, outcome
    target = garbage(folder / "target", disk.stat().st_size)
    restore(manifest, described(target), store, ignore)
    return manifest, target


def snapshots(place: Path) -> None:
    """Files of every kind; four snapshots between changes; some files deleted, one cloned."""
    for number in range(120):
        (place / f"small-{number}").write_bytes(noise(number * 20, number))  # inline up to 2 KiB
    for number in range(20):
        (place / f"large-{number}").write_bytes(noise(300_000 + number, number))
    for number in range(4):
        run("btrfs", "subvolume", "snapshot", place, place / f"snapshot-{number}")
        (place / f"new-{number}").write_bytes(noise(90_000, number))
        (place / f"large-{number}").unlink()
        with (place / f"large-{number + 9}").open("r+b") as file:
            file.seek(8192)
            file.write(noise(5000, 77))
    run("btrfs", "subvolume", "snapshot", "-r", place / "snapshot-0", place / "read-only")
    run("cp", "--reflink=always", place / "large-19", place / "clone")
    run("fallocate", "--length", "300000", place / "preallocated")
    (place / "text").write_bytes(b"compressed where it is mounted so " * 40_000)


@pytest.mark.parametrize(
    ("made", "mount"),
    [
        (("-m", "dup"), ""),
        (("-m", "single"), "compress-force=zstd"),
        (("-m", "dup", "-d", "dup"), "compress-force=lzo"),
        (("--mixed",), ""),
        (("-n", "4096", "--csum", "xxhash"), "compress-force=zlib"),
        (("-O", "^skinny-metadata,^no-holes", "-R", "^free-space-tree"), "space_cache=v1"),
    ],
)
def test_a_btrfs_keeps_all_copies_of_all_trees_and_files(
    tmp_path: Path, made: tuple[str, ...], mount: str
) -> None:
    volume = blank(tmp_path / "volume", 300 * MIB)
    run("mkfs.btrfs", "-q", *made, volume)
    with mounted(volume, *(("-o", mount) if mount else ())) as place:
        snapshots(place)
    with mounted(volume, "-o", "ro") as place:
        files = hashes(place)
    manifest, target = round_trip(volume, tmp_path)
    partition = manifest.partitions[0]
    assert (partition.filesystem, partition.method) == ("btrfs", "used-blocks"), partition.reason
    assert manifest.used_bytes < 120 * MIB
    run("btrfs", "check", "--check-data-csum", target)
    with mounted(target) as place:
        assert hashes(place) == files
        scrub = run("btrfs", "scrub", "start", "-B", place)
    assert "no errors found" in scrub


def fill_fat(volume: Path, folder: Path) -> dict[str, bytes]:
    """Write 40 files and two folders with mtools, delete nine of them; return the files."""
    files = {}
    for number in range(40):
        data = noise(700 * number + 1, number)
        (folder / f"file number {number}").write_bytes(data)
        files[f"file number {number}"] = data
    run("mcopy", "-i", volume, *sorted(folder.glob("file number *")), "::")
    run("mmd", "-i", volume, "::folder", "::folder/below")
    run("mcopy", "-i", volume, folder / "file number 39", "::folder/below/copy")
    for number in range(10, 19):
        run("mdel", "-i", volume, f"::file number {number}")
        del files[f"file number {number}"]
    return files | {"folder/below/copy": files["file number 39"]}


def fat_files(volume: Path, names: list[str]) -> dict[str, bytes]:
    found = {}
    for name in names:
        command = ["mcopy", "-i", str(volume), f"::{name}", "-"]
        found[name] = subprocess.run(command, check=True, capture_output=True).stdout
    return found


def clusters_in_use(volume: Path) -> int:
    """Return how many clusters fsck.fat counts: "disk: 33 files, 260/3985 clusters"."""
    match = re.search(r"(\d+)/\d+ clusters", run("fsck.fat", "-n", volume))
    assert match
    return int(match[1])


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (("-F", "12"), 1440),  # 2847 clusters
        (("-F", "12", "-s", "8"), 16000),  # 3985
        (("-F", "12", "-s", "1", "-f", "1"), 2064),  # 4083; the most are 4084
        (("-F", "16", "-s", "1", "-f", "1"), 2080),  # 4110; the fewest of FAT16 are 4085
        (("-F", "16", "-f", "1"), 30000),
        (("-F", "32", "-s", "1"), 40000),
        (("-F", "32", "-S", "4096"), 300000),
    ],
)
def test_a_fat_keeps_all_of_its_files(tmp_path: Path, made: tuple[str, ...], size: int) -> None:
    volume = tmp_path / "volume"
    run("mkfs.fat", "-C", *made, volume, str(size))
    files = fill_fat(volume, tmp_path)
    manifest, target = round_trip(volume, tmp_path)
    partition = manifest.partitions[0]
    assert (partition.filesystem, partition.method) == ("vfat", "used-blocks"), partition.reason
    assert fat_files(target, list(files)) == files
    assert clusters_in_use(target) == clusters_in_use(volume)


def test_the_map_of_a_fat_has_as_many_clusters_as_fsck_counts(tmp_path: Path) -> None:
    for bits, size in ((12, 1440), (16, 20000), (32, 40000)):
        volume = tmp_path / f"volume-{bits}"
        run("mkfs.fat", "-C", "-F", str(bits), "-s", "1", volume, str(size))
        fill_fat(volume, tmp_path)
        raw = volume.read_bytes()
        used = total(fat.used(lambda start, length, raw=raw: raw[start:][:length], len(raw)))
        reserved, tables, entries = struct.unpack_from("<HBH", raw, 14)
        table = int.from_bytes(raw[22:24], "little") or int.from_bytes(raw[36:40], "little")
        before = (reserved + tables * table) * 512 + entries * 32
        assert (used - before) // 512 == clusters_in_use(volume)


@contextmanager
def fuse_mounted(program: str, volume: Path) -> Iterator[Path]:
    place = volume.with_suffix(".mnt")
    place.mkdir(exist_ok=True)
    with loop(volume) as node:
        run(program, node, place)
        try:
            yield place
        finally:
            run("umount", place)
    while run("losetup", "--associated", volume):  # it is written to the end after the unmount
        pass


def exfat_mounted(volume: Path) -> AbstractContextManager[Path]:
    return fuse_mounted("mount.exfat-fuse", volume)


def ntfs_mounted(volume: Path) -> AbstractContextManager[Path]:
    return fuse_mounted("ntfs-3g", volume)


def fill(place: Path) -> None:
    """Write small and large files, some in pieces, and delete some."""
    for number in range(60):
        (place / f"file number {number} of the volume").write_bytes(noise(2900 * number))
    (place / "folder" / "below").mkdir(parents=True)
    for number in range(10, 25):
        (place / f"file number {number} of the volume").unlink()
    for number in range(200):
        (place / "folder" / f"fragment {number}").write_bytes(noise(4100, number))
    with (place / "sparse").open("wb") as file:
        file.seek(3 * MIB)
        file.write(b"its end")


@pytest.mark.parametrize("made", [(), ("--cluster-size", "512"), ("--cluster-size", "131072")])
def test_an_exfat_keeps_all_of_its_files(tmp_path: Path, made: tuple[str, ...]) -> None:
    volume = blank(tmp_path / "volume", 64 * MIB)
    run("mkfs.exfat", *made, volume)
    with exfat_mounted(volume) as place:
        fill(place)
        files = hashes(place)
    manifest, target = round_trip(volume, tmp_path)
    partition = manifest.partitions[0]
    assert (partition.filesystem, partition.method) == ("exfat", "used-blocks"), partition.reason
    assert manifest.used_bytes < 50 * MIB
    run("fsck.exfat", "-n", target)
    with exfat_mounted(target) as place:
        assert hashes(place) == files


@pytest.mark.parametrize(
    "made",
    [(), ("-O", "extra_attr,inode_checksum,sb_checksum,compression"), ("-s", "4", "-z", "2")],
)
def test_an_f2fs_keeps_all_of_its_files(tmp_path: Path, made: tuple[str, ...]) -> None:
    """Written by sload.f2fs and looked for block by block: this kernel has no F2FS."""
    volume = blank(tmp_path / "volume", 300 * MIB)
    run("mkfs.f2fs", "-q", *made, volume)
    contents = []
    for number in range(3):
        folder = tmp_path / f"content-{number}"
        folder.mkdir()
        for file in range(60):
            data = noise(3000 * file + 1, 10_000 + number * 100 + file)
            (folder / f"file-{number}-{file}").write_bytes(data)
            contents.append(data)
        run("sload.f2fs", "-f", folder, volume)
    manifest, target = round_trip(volume, tmp_path)
    partition = manifest.partitions[0]
    assert (partition.filesystem, partition.method) == ("f2fs", "used-blocks"), partition.reason
    assert manifest.used_bytes < 160 * MIB
    run("fsck.f2fs", "--dry-run", target)
    raw = target.read_bytes()
    blocks = {raw[place : place + 4096] for place in range(0, len(raw), 4096)}
    for data in contents:
        whole = range(0, len(data) // 4096 * 4096, 4096)
        assert all(data[place : place + 4096] in blocks for place in whole)


@pytest.mark.parametrize(
    ("program", "made", "mount", "kind"),
    [
        ("mkntfs", ("-q", "-F"), ntfs_mounted, "ntfs"),
        ("mkntfs", ("-q", "-F", "-c", "65536"), ntfs_mounted, "ntfs"),
        ("mkfs.xfs", ("-q",), mounted, "xfs"),
        ("mkfs.ext4", ("-q", "-b", "1024"), mounted, "ext4"),
        ("mkfs.ext4", ("-q", "-O", "^64bit,^metadata_csum,^flex_bg"), mounted, "ext4"),
    ],
)
def test_what_partclone_maps_keeps_all_of_its_files(
    tmp_path: Path,
    program: str,
    made: tuple[str, ...],
    mount: Callable[[Path], AbstractContextManager[Path]],
    kind: str,
) -> None:
    volume = blank(tmp_path / "volume", 300 * MIB)
    run(program, *made, volume)
    with mount(volume) as place:
        fill(place)
        files = hashes(place)
    manifest, target = round_trip(volume, tmp_path)
    partition = manifest.partitions[0]
    assert (partition.filesystem, partition.method) == (kind, "used-blocks"), partition.reason
    assert manifest.used_bytes < 150 * MIB
    with mount(target) as place:
        assert hashes(place) == files


@pytest.mark.parametrize(("program", "options"), [("mkfs.fat", ("-F", "16")), ("mkfs.exfat", ())])
def test_a_file_whose_blocks_are_not_in_the_image_does_not_pass_the_restore_test(
    tmp_path: Path, program: str, options: tuple[str, ...]
) -> None:
    """The checkers of FAT and exFAT look at no file's content; this one has none to find."""
    volume = blank(tmp_path / "volume", 40 * MIB)
    run(program, *options, volume)
    if program == "mkfs.fat":
        (tmp_path / "large").write_bytes(noise(12 * MIB))
        run("mcopy", "-i", volume, tmp_path / "large", "::LARGE.BIN")
    else:
        with exfat_mounted(volume) as place:
            (place / "LARGE.BIN").write_bytes(noise(12 * MIB))
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(volume), store, ignore)
    hole = Extent(5 * MIB, MIB)
    kept = [chunk.digest for chunk in manifest.chunks() if chunk.span.offset != hole.offset]
    forgetful = attrs.evolve(
        manifest,
        used=without(manifest.used, (hole,)),
        digests=b"".join(bytes.fromhex(digest) for digest in kept),
    )
    digest = store.put_manifest(manifest_format.encode(forgetful))
    outcome = run_restore_test(store, digest, tmp_path)
    assert not outcome.ok
    assert "/LARGE.BIN lies in blocks that the image does not hold" in outcome.details[-1]


def relabelled(volume: Path) -> None:
    with volume.open("r+b") as file:
        file.seek(71)
        file.write(b"OTHER LABEL")


def miscounted(volume: Path) -> None:
    with volume.open("r+b") as file:
        file.seek(512 + 488)
        file.write(struct.pack("<I", 77))


def lost_cluster(volume: Path) -> None:
    """Mark a cluster as used that no file has, in the first of both tables."""
    raw = volume.read_bytes()[:512]
    (reserved,) = struct.unpack_from("<H", raw, 14)
    with volume.open("r+b") as file:
        file.seek(reserved * 512 + 4 * 60000)
        file.write(b"\xff\xff\xff\x0f")


@pytest.mark.parametrize("change", [relabelled, miscounted, lost_cluster])
def test_what_fsck_fat_remarks_on_a_sound_volume_does_not_make_its_image_unusable(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    volume = tmp_path / "volume"
    run("mkfs.fat", "-C", "-F", "32", "-s", "1", "-n", "LABEL", volume, "40000")
    fill_fat(volume, tmp_path)
    change(volume)
    remarks = subprocess.run(["fsck.fat", "-n", volume], capture_output=True, check=False)
    assert remarks.returncode == 1
    manifest, _, outcome = proved(volume, tmp_path)
    assert manifest.partitions[0].method == "used-blocks"
    assert outcome.ok, outcome


def test_an_ntfs_whose_bitmap_forgets_a_file_does_not_pass_the_restore_test(
    tmp_path: Path,
) -> None:
    volume = blank(tmp_path / "volume", 64 * MIB)
    run("mkntfs", "-q", "-F", volume)
    (tmp_path / "large").write_bytes(noise(4 * MIB))
    run("ntfscp", volume, tmp_path / "large", "large")
    command = ["ntfscat", str(volume), "$Bitmap"]
    bitmap = subprocess.run(command, capture_output=True, check=True).stdout
    raw = bytearray(volume.read_bytes())
    place = raw.index(bitmap) + bitmap.rindex(b"\xff" * 40) + 20
    raw[place] = 0
    volume.write_bytes(raw)
    manifest, _, outcome = proved(volume, tmp_path)
    assert manifest.partitions[0].method == "used-blocks"
    assert not outcome.ok
    assert "missing cluster in $Bitmap" in outcome.details[-1]
