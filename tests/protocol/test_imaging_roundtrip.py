"""Capture, store, test and restore of real disks: loop devices, real tables, real file systems."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from builders.drift import verify

from agent.errors import TransientError
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.errors import (
    CorruptChunkError,
    DiskChangedError,
    RefusedDiskError,
)
from agent.imaging.manifest import Manifest
from agent.imaging.restore import restore
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.protocol.imaging_disks import (
    MIB,
    MemoryStore,
    blank,
    described,
    garbage,
    gpt_disk,
    ignore,
    insert,
    loop,
    mbr_disk,
    run,
    table,
    tree,
)

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("content") / "files", 1, 12 * MIB)


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory, content: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("disks")
    return {
        "gpt": gpt_disk(folder / "gpt", content),
        "mbr": mbr_disk(folder / "mbr", content),
    }


Captured = tuple[Path, Manifest, MemoryStore]


@pytest.fixture(scope="module", params=["gpt", "mbr"])
def captured(disks: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Captured]:
    path, store = disks[request.param], MemoryStore()
    with loop(path) as node:
        manifest = capture(described(node), store, ignore)
    return path, manifest, store


@pytest.fixture(scope="module")
def gpt(disks: dict[str, Path]) -> Captured:
    store = MemoryStore()
    with loop(disks["gpt"]) as node:
        return disks["gpt"], capture(described(node), store, ignore), store


def assert_same_used_blocks(captured: Path, restored: Path, manifest: Manifest) -> None:
    with captured.open("rb") as one, restored.open("rb") as two:
        for extent in manifest.used:
            one.seek(extent.offset)
            two.seek(extent.offset)
            assert one.read(extent.length) == two.read(extent.length)


def assert_clean_ext4(disk: Path, manifest: Manifest) -> None:
    starts = [part.start for part in manifest.partitions if part.filesystem == "ext4"]
    assert starts
    for start in starts:
        run("e2fsck", "-f", "-n", f"{disk}?offset={start}")


def test_a_gpt_disk_is_described_as_it_is(gpt: Captured) -> None:
    _, manifest, _ = gpt
    assert manifest.table == "gpt"
    assert manifest.firmware.bios
    assert manifest.firmware.uefi
    assert [
        (part.number, part.filesystem, part.method, part.reason) for part in manifest.partitions
    ] == [
        (1, "", "full-sector", "it holds boot code and no file system"),
        (2, "vfat", "used-blocks", ""),
        (3, "ext4", "used-blocks", ""),
        (4, "swap", "used-blocks", ""),
    ]
    assert manifest.used_bytes < 45 * MIB  # of 128
    data = manifest_format.encode(manifest)
    assert manifest_format.decode(data) == manifest


def test_a_captured_disk_restores_to_identical_used_blocks(
    tmp_path: Path, captured: Captured
) -> None:
    path, manifest, store = captured
    target = blank(tmp_path / "target", path.stat().st_size)
    with loop(target) as node:
        result = restore(manifest, described(node), store, ignore)
        assert verify(manifest, node) == []
        assert result.chunks_written > 10
        again = restore(manifest, described(node), store, ignore)
        assert (again.chunks_written, again.bytes_fetched) == (0, 0)
    assert_same_used_blocks(path, target, manifest)
    assert_clean_ext4(target, manifest)
    assert verify(manifest, str(target)) == []
    assert "No errors detected" in run("sfdisk", "--verify", target)
    assert run("sfdisk", "--dump", target).replace(str(target), "") == run(
        "sfdisk", "--dump", path
    ).replace(str(path), "")


def test_every_sector_is_kept_where_that_is_asked_for(tmp_path: Path, gpt: Captured) -> None:
    path, _, _ = gpt
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(path), store, ignore, full=True)
    assert [(part.filesystem, part.method, part.reason) for part in manifest.partitions] == [
        (name, "full-sector", "every sector was asked for") for name in ("", "vfat", "ext4", "swap")
    ]
    assert manifest.used_bytes == manifest.disk_size
    digest = store.put_manifest(manifest_format.encode(manifest))
    assert run_restore_test(store, digest, tmp_path).ok
    target = garbage(tmp_path / "target", path.stat().st_size)
    restore(manifest, described(target), store, ignore)
    assert target.read_bytes() == path.read_bytes()


def test_a_restored_disk_captures_to_the_same_image(tmp_path: Path, captured: Captured) -> None:
    path, manifest, store = captured
    target = garbage(tmp_path / "target", path.stat().st_size)
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
        store.puts.clear()
        assert capture(described(node), store, ignore) == manifest
        assert store.puts == []


def test_garbage_on_the_target_disappears_from_the_used_blocks(
    tmp_path: Path, captured: Captured
) -> None:
    path, manifest, store = captured
    target = garbage(tmp_path / "target", path.stat().st_size)
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
    assert_same_used_blocks(path, target, manifest)
    assert_clean_ext4(target, manifest)


class LostConnection:
    """Delivers some chunks and then nothing."""

    def __init__(self, inner: MemoryStore, good: int) -> None:
        self._inner = inner
        self._good = good

    def get(self, digest: str, *, checked: bool = False) -> bytes:
        self._good -= 1
        if self._good < 0:
            raise TransientError("RW500", "the server does not answer", "Wait")
        return self._inner.get(digest, checked=checked)


def test_a_restore_cut_half_way_cannot_boot_and_a_rerun_finishes(
    tmp_path: Path, captured: Captured
) -> None:
    path, manifest, store = captured
    target = tmp_path / "target"
    shutil.copy(path, target)  # boots, until half of its files are others
    with target.open("r+b") as file:
        for number in range(20, 60):
            file.seek(number * MIB + 5000)
            file.write(b"another system")
    with loop(target) as node:
        with pytest.raises(TransientError):
            restore(manifest, described(node), LostConnection(store, 5), ignore)
        raw = target.read_bytes()
        assert raw[:MIB] == bytes(MIB)
        assert b"EFI PART" not in raw[-512:]
        assert run("sfdisk", "--verify", node).count("unrecognized partition table") == 1
        restore(manifest, described(node), store, ignore)
    assert_same_used_blocks(path, target, manifest)
    assert_clean_ext4(target, manifest)


def test_a_corrupt_chunk_stops_the_restore_by_name(tmp_path: Path, captured: Captured) -> None:
    path, manifest, store = captured
    chunk = max(manifest.chunks(), key=lambda found: len(store.frames[found.digest]))
    bad = MemoryStore()
    broken = bytearray(store.frames[chunk.digest])
    broken[len(broken) // 2] ^= 1
    bad.frames = {**store.frames, chunk.digest: bytes(broken)}
    target = blank(tmp_path / "target", path.stat().st_size)
    with loop(target) as node, pytest.raises(CorruptChunkError, match=chunk.digest):
        restore(manifest, described(node), bad, ignore)
    assert target.read_bytes()[:MIB] == bytes(MIB)


def test_a_smaller_disk_is_refused_with_both_sizes_and_untouched(
    tmp_path: Path, captured: Captured
) -> None:
    path, manifest, store = captured
    size = path.stat().st_size
    target = garbage(tmp_path / "target", size - MIB)
    before = target.read_bytes()
    with loop(target) as node:
        with pytest.raises(RefusedDiskError) as caught:
            restore(manifest, described(node), store, ignore)
        assert caught.value.cause == f"the image needs {size} bytes, {node} has {size - MIB} bytes"
    assert target.read_bytes() == before


def test_a_larger_disk_has_a_valid_table_to_its_end_and_is_otherwise_untouched(
    tmp_path: Path, captured: Captured
) -> None:
    path, manifest, store = captured
    size = path.stat().st_size
    target = garbage(tmp_path / "target", size + 8 * MIB)
    before = target.read_bytes()
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
        assert verify(manifest, node) == []
        again = restore(manifest, described(node), store, ignore)
        assert again.chunks_written == 0
    after = target.read_bytes()
    tail = 33 * 512 if manifest.table == "gpt" else 0
    assert after[size : len(after) - tail] == before[size : len(before) - tail]
    check = run("sfdisk", "--verify", target)
    assert "No errors detected" in check
    if manifest.table == "gpt":
        assert f"last-lba: {(size + 8 * MIB) // 512 - 34}" in run("sfdisk", "--dump", target)
        assert run("sgdisk", "--verify", target).count("No problems found") == 1
    assert_clean_ext4(target, manifest)


def test_another_sector_size_is_refused_with_both(tmp_path: Path, gpt: Captured) -> None:
    path, manifest, store = gpt
    target = blank(tmp_path / "target", path.stat().st_size)
    with (
        loop(target, "--sector-size", "4096") as node,
        pytest.raises(RefusedDiskError, match=r"the image has 512-byte sectors, .* 4096-byte"),
    ):
        restore(manifest, described(node, 4096), store, ignore)


def test_a_disk_with_4096_byte_sectors_goes_round_too(tmp_path: Path) -> None:
    path = blank(tmp_path / "disk", 64 * MIB)
    store = MemoryStore()
    with loop(path, "--sector-size", "4096") as node:
        run("sfdisk", "--quiet", node, stdin="label: gpt\nstart=256, size=15000\n")
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", f"offset={MIB}", node, "58M")
        manifest = capture(described(node, 4096), store, ignore)
    assert [part.method for part in manifest.partitions] == ["used-blocks"]
    assert manifest.sector_size == 4096
    target = blank(tmp_path / "target", 80 * MIB)
    with loop(target, "--sector-size", "4096") as node:
        restore(manifest, described(node, 4096), store, ignore)
        assert verify(manifest, node) == []
        assert "No errors detected" in run("sfdisk", "--verify", node)
    assert_clean_ext4(target, manifest)


def test_an_unknown_file_system_is_kept_sector_by_sector_and_the_reason_is_told(
    tmp_path: Path,
) -> None:
    path = garbage(tmp_path / "disk", 32 * MIB)
    table(path, "label: dos\nstart=1MiB, size=8MiB, type=83\nstart=9MiB, size=8MiB, type=8e\n")
    with path.open("r+b") as file:  # an LVM physical volume's label
        file.seek(9 * MIB + 512)
        file.write(b"LABELONE" + (1).to_bytes(8, "little") + bytes(4) + (32).to_bytes(4, "little"))
        file.write(b"LVM2 001" + b"a" * 32)
    store = MemoryStore()
    with loop(path) as node:
        manifest = capture(described(node), store, ignore)
        assert [part.method for part in manifest.partitions] == ["full-sector", "full-sector"]
        assert manifest.partitions[0].reason == "no file system was recognised"
    target = blank(tmp_path / "target", 32 * MIB)
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
    assert target.read_bytes()[: 17 * MIB] == path.read_bytes()[: 17 * MIB]


def test_a_file_system_on_the_whole_disk_is_mapped(tmp_path: Path, content: Path) -> None:
    path = blank(tmp_path / "disk", 64 * MIB)
    run("mkfs.ext4", "-q", "-F", "-d", content, path)
    store = MemoryStore()
    with loop(path) as node:
        manifest = capture(described(node), store, ignore)
    assert manifest.table == "none"
    assert [(part.number, part.method) for part in manifest.partitions] == [(0, "used-blocks")]
    assert manifest.used_bytes < 40 * MIB
    target = garbage(tmp_path / "target", 64 * MIB)
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
    run("e2fsck", "-f", "-n", target)


def test_a_damaged_table_makes_the_whole_disk_one_area_kept_in_full(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    path = tmp_path / "disk"
    shutil.copy(disks["gpt"], path)
    with path.open("r+b") as file:
        file.seek(512 + 60)
        file.write(b"damage")
    with loop(path) as node:
        manifest = capture(described(node), MemoryStore(), ignore)
    assert manifest.table == "none"
    assert manifest.partitions[0].reason == (
        "the partition table is damaged: the checksum of the GPT header at LBA 1 is wrong; "
        "the backup at LBA 262143 is intact, repair the table from it (gdisk or sgdisk)"
    )
    assert manifest.used_bytes == path.stat().st_size


def test_partitions_that_the_kernel_shows_are_used_as_they_are(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    """This kernel may have no table parsers, so the partitions are added by hand."""
    path = tmp_path / "disk"
    shutil.copy(disks["mbr"], path)
    with loop(path) as node:
        manifest = capture(described(node), MemoryStore(), ignore)
        run("partx", "--add", node)
        try:
            assert capture(described(node), MemoryStore(), ignore) == manifest
        finally:
            run("partx", "--delete", node)


@pytest.mark.parametrize(
    "work",
    [
        lambda _, node: capture(described(node), MemoryStore(), ignore),
        lambda image, node: restore(image[1], described(node), image[2], ignore),
    ],
    ids=["capture", "restore"],
)
def test_a_mounted_disk_is_refused_and_the_mount_point_named(
    tmp_path: Path, disks: dict[str, Path], gpt: Captured, work: Callable[[Captured, str], object]
) -> None:
    path, place = tmp_path / "disk", tmp_path / "mounted here"
    shutil.copy(disks["gpt"], path)
    place.mkdir()
    before = path.read_bytes()
    with loop(path) as node:
        run("partx", "--add", node)
        try:
            run("mount", "-o", "ro,noload", f"{node}p3", place)
            try:
                with pytest.raises(RefusedDiskError) as caught:
                    work(gpt, node)
                name = f"{node.rpartition('/')[2]}p3"
                assert str(caught.value) == (
                    f"RW410: {node} is in use: {name} mounted at {place}. "
                    "Unmount it or stop what uses it, then try again."
                )
            finally:
                run("umount", place)
        finally:
            run("partx", "--delete", node)
    assert path.read_bytes() == before


def test_a_disk_file_is_refused_while_a_loop_device_over_it_is_mounted(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    path, place = tmp_path / "disk", tmp_path / "place"
    shutil.copy(disks["mbr"], path)
    place.mkdir()
    with loop(path, "--offset", str(MIB), "--sizelimit", str(40 * MIB)) as node:
        run("mount", "-o", "ro,noload", node, place)
        try:
            with pytest.raises(RefusedDiskError, match=f"RW410: .* mounted at {place}"):
                capture(described(path), MemoryStore(), ignore)
        finally:
            run("umount", place)


def test_nothing_can_be_mounted_while_a_disk_is_imaged(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    path, place = tmp_path / "disk", tmp_path / "place"
    shutil.copy(disks["gpt"], path)
    place.mkdir()
    tried: list[int] = []

    class Sink(MemoryStore):
        def put(self, digest: str, frame: bytes) -> None:
            super().put(digest, frame)
            if not tried:
                command = ["mount", f"{node}p3", str(place)]
                tried.append(subprocess.run(command, capture_output=True, check=False).returncode)

    with loop(path) as node:
        run("partx", "--add", node)
        try:
            capture(described(node), Sink(), ignore)
        finally:
            run("partx", "--delete", node)
    assert tried[0] != 0


def test_a_read_only_disk_is_refused(tmp_path: Path, gpt: Captured) -> None:
    path, manifest, store = gpt
    target = blank(tmp_path / "target", path.stat().st_size)
    with (
        loop(target, "--read-only") as node,
        pytest.raises(RefusedDiskError, match=f"RW411: {node} is read-only"),
    ):
        restore(manifest, described(node), store, ignore)


def test_another_disk_under_the_same_node_is_refused(tmp_path: Path, gpt: Captured) -> None:
    _, manifest, store = gpt
    target = blank(tmp_path / "target", 160 * MIB)
    with loop(target) as node:
        for work in (
            lambda disk: capture(disk, store, ignore),
            lambda disk: restore(manifest, disk, store, ignore),
        ):
            with pytest.raises(RefusedDiskError) as caught:
                work(described(node, size=200 * MIB))
            assert "a size in bytes of 209715200 was inspected, it now has 167772160" in (
                caught.value.cause
            )


def test_a_disk_that_changes_while_it_is_read_is_not_an_image(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    path = tmp_path / "disk"
    shutil.copy(disks["mbr"], path)

    class Meddler(MemoryStore):
        """Relabels the disk behind the capture's back."""

        def missing(self, digests: tuple[str, ...]) -> frozenset[str]:
            with path.open("r+b") as file:
                file.seek(440)
                file.write(b"new!")
            return super().missing(digests)

    with pytest.raises(DiskChangedError, match="its partition table is another one now"):
        capture(described(path), Meddler(), ignore)


def test_capture_asks_in_batches_and_ships_only_what_is_missing(gpt: Captured) -> None:
    path, manifest, store = gpt
    progress: list[tuple[int, int]] = []
    half = MemoryStore()
    half.frames = dict(list(store.frames.items())[::2])
    lacking = store.frames.keys() - half.frames.keys()
    again = capture(described(path), half, lambda *values: progress.append(values))
    assert again == manifest
    assert set(half.puts) == lacking
    assert len(half.puts) == len(lacking)
    assert half.asked < manifest.chunk_count / 10
    assert progress == sorted(progress)
    assert progress[-1] == (manifest.used_bytes, manifest.used_bytes)


def test_an_image_is_tested_and_a_backup_that_fails_leaves_it_as_it_was(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    store = ChunkStore(tmp_path / "store", reserve=0)
    disk = tmp_path / "disk"
    shutil.copy(disks["gpt"], disk)
    manifest = capture(described(disk), store, ignore)
    digest = store.put_manifest(manifest_format.encode(manifest))
    store.names.tag("golden", digest)
    outcome = run_restore_test(store, digest, tmp_path)
    assert outcome.ok, outcome
    assert outcome.details == (
        f"{manifest.chunk_count} chunks: intact",
        "partition table gpt: intact",
        "partition 1: kept sector by sector, because it holds boot code and no file system",
        "partition 2, vfat: intact",
        "partition 3, ext4: intact",
        "partition 4: swap, of which only the header is kept",
    )
    assert store.usable(digest)
    before = store.images()

    class FullStore:
        def missing(self, digests: tuple[str, ...]) -> frozenset[str]:
            return store.missing(digests)

        def put(self, *_: object) -> None:
            raise TransientError("RW500", "the server does not answer", "Wait")

    insert(disk, 40 * MIB, garbage(tmp_path / "noise", 2 * MIB))
    with pytest.raises(TransientError):
        capture(described(disk), FullStore(), ignore)
    assert store.images() == before
    assert run_restore_test(store, digest, tmp_path).ok
    target = blank(tmp_path / "target", disk.stat().st_size)
    restore(manifest, described(target), store, ignore)
    assert_same_used_blocks(disks["gpt"], target, manifest)


def test_a_store_that_rots_is_found_out_by_the_restore_test_and_healed_by_the_next_backup(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(disks["mbr"]), store, ignore)
    data = manifest_format.encode(manifest)
    digest = store.put_manifest(data)
    victim = list(manifest.chunks())[5].digest
    path = store.path(victim)
    broken = bytearray(path.read_bytes())
    broken[-5] ^= 1
    path.write_bytes(broken)
    outcome = run_restore_test(store, digest, tmp_path)
    assert not outcome.ok
    assert outcome.details[0] == "damaged in the store"
    assert f"chunk {victim[:12]}, bytes" in outcome.details[1]
    assert not store.usable(digest)
    assert capture(described(disks["mbr"]), store, ignore) == manifest
    assert store.put_manifest(data) == digest
    assert run_restore_test(store, digest, tmp_path).ok


def test_a_map_that_forgets_a_block_does_not_pass_the_restore_test(
    tmp_path: Path, disks: dict[str, Path]
) -> None:
    """Negative control: the image of a file system whose inodes were not captured."""
    store = ChunkStore(tmp_path / "store", reserve=0)
    manifest = capture(described(disks["mbr"]), store, ignore)
    hole = next(part.start + MIB for part in manifest.partitions)  # block 256 on: inode tables
    used = [extent for extent in manifest.used if extent.offset < hole]
    used[-1] = used[-1]._replace(length=hole - used[-1].offset)
    kept = attrs.evolve(
        manifest,
        used=tuple(used),
        regions=manifest.regions[:1],
        digests=manifest.digests[: 32 * (hole // MIB)],
        table="none",
        partitions=manifest.partitions[:1],
    )
    digest = store.put_manifest(manifest_format.encode(kept))
    outcome = run_restore_test(store, digest, tmp_path)
    assert not outcome.ok
    assert any("e2fsck ended with" in line for line in outcome.details)
