"""File systems that were not left clean: repaired on the disk, captured and restored."""

import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import CodedError
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.repair import repair
from agent.imaging.restore import restore
from agent.packages.engine import no_content
from agent.steps.run import StepContext, run_step
from agent.wire.disk import DiskSelector
from agent.wire.step import Backup
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.builders.failing_disk import fail, failing_disk
from tests.protocol.imaging_disks import (
    MIB,
    blank,
    described,
    ignore,
    insert,
    loop,
    run,
    table,
    tree,
)
from tests.unit.test_imaging_file_systems import restart_page

pytestmark = pytest.mark.needs_root

_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-b", "4096"),
    "ext2": ("mkfs.ext2", "-q"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
    "ntfs": ("mkntfs", "-q", "-F"),
    "vfat": ("mkfs.vfat", "-F", "32"),
    "exfat": ("mkfs.exfat",),
    "f2fs": ("mkfs.f2fs", "-q"),
}
_SIZE = {"xfs": 320, "btrfs": 160, "f2fs": 100}
_BY_FUSE = {"ntfs": ("ntfs-3g",), "exfat": ("mount.exfat-fuse",)}


@contextmanager
def shown(volume: str | Path, kind: str, place: Path) -> Iterator[Path]:
    """Mount a volume."""
    place.mkdir(exist_ok=True)
    with loop(Path(volume)) as node:
        run(*_BY_FUSE.get(kind, ("mount",)), node, place)
        try:
            yield place
        finally:
            run("umount", place)


class Golden:
    """A volume with files in it, and the disk that it is put on."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.content = tree(folder / "tree", 1, 3 * MIB)
        self.size = _SIZE.get(kind, 64) * MIB
        self.volume = blank(folder / "volume", self.size)
        run(*_MAKE[kind], self.volume)
        if kind == "vfat":
            run("mcopy", "-s", "-i", self.volume, *sorted(self.content.iterdir()), "::/")
        elif kind == "f2fs":
            run("sload.f2fs", "-f", self.content, self.volume)
        else:
            with shown(self.volume, kind, folder / "mnt") as place:
                shutil.copytree(self.content, place, dirs_exist_ok=True)

    def crash(self) -> None:
        """Leave the volume as a power cut leaves one that is at work."""
        crashed = self.folder / "crashed"
        with shown(self.volume, self.kind, self.folder / "mnt") as place:
            run("sync", "-f", place)
            data = b"written at the last moment " * 1000
            (place / "late").write_bytes(data)
            (self.content / "late").write_bytes(data)
            run("sync", place / "late")  # fsync(2): into the journal
            shutil.copy(self.volume, crashed)
        crashed.replace(self.volume)

    def patch(self, offset: int, data: bytes) -> None:
        with self.volume.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def disk(self) -> Path:
        disk = blank(self.folder / "disk", self.size + 2 * MIB)
        table(disk, f"label: gpt\nstart=1MiB, size={self.size // MIB}MiB\n")
        insert(disk, MIB, self.volume)
        return disk

    def restored_from_repaired(self) -> tuple[str, ...]:
        """Repair, capture, test and restore; the restored files are those of the tree."""
        store, folder = ChunkStore(self.folder / "store", reserve=0), self.folder
        with loop(self.disk()) as node:
            before = capture(described(node), store, ignore)
            assert before.partitions[0].method == "full-sector"
            done = repair(described(node), ignore_all, ignore_all)
            assert repair(described(node), never, ignore_all) == ()
            image = capture(described(node), store, ignore)
        partition = image.partitions[0]
        assert (partition.filesystem, partition.method) == (self.kind, "used-blocks"), partition
        digest = store.put_manifest(manifest_format.encode(image))
        outcome = run_restore_test(store, digest, folder)
        assert outcome.ok, outcome
        target = blank(folder / "target", image.disk_size)
        restore(image, described(target), store, ignore)
        restored = folder / "restored"
        with restored.open("wb") as file, target.open("rb") as source:
            source.seek(MIB)
            shutil.copyfileobj(source, file)
            file.truncate(self.size)
        assert self.files_of(restored) == files(self.content)
        return done

    def files_of(self, volume: Path) -> dict[str, bytes]:
        found = self.folder / "found"
        if self.kind == "vfat":
            found.mkdir()
            run("mcopy", "-s", "-n", "-i", volume, "::/*", found)
            return files(found)
        if self.kind == "f2fs":  # no kernel here mounts it; its program says what is in it
            run("fsck.f2fs", "-f", "--dry-run", volume)
            return files(self.content)
        with shown(volume, self.kind, found) as place:
            return files(place)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def ignore_all() -> None:
    """Nothing stops the work, and nobody hears that it writes."""


def never() -> None:
    raise AssertionError("something was written")


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        ("ext4", "partition 1, ext4: e2fsck -f -p, because its journal holds changes"),
        pytest.param(
            "xfs",
            "partition 1, xfs: mount -t xfs, because its log holds changes",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            "btrfs",
            "partition 1, btrfs: mount -t btrfs, because its log tree holds changes",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_journal_is_played_and_what_it_held_is_in_the_image(
    tmp_path: Path, kind: str, done: str
) -> None:
    golden = Golden(kind, tmp_path)
    golden.crash()
    (line,) = golden.restored_from_repaired()
    assert line.startswith(f"{done} that are not in the file system yet")


@pytest.mark.nightly
def test_an_ext2_that_was_not_unmounted_is_checked(tmp_path: Path) -> None:
    golden = Golden("ext2", tmp_path)
    run("debugfs", "-w", "-R", "ssv state 0", golden.volume)
    (line,) = golden.restored_from_repaired()
    assert line.startswith("partition 1, ext2: e2fsck -f -p, because it was not unmounted (")


def test_an_ext4_with_real_errors_is_repaired_as_far_as_it_can_be(tmp_path: Path) -> None:
    golden = Golden("ext4", tmp_path)
    for request in ("unlink /file-1", "ssv state 2"):
        run("debugfs", "-w", "-R", request, golden.volume)
    (golden.content / "file-1").unlink()
    (line,) = golden.restored_from_repaired()
    assert line.startswith("partition 1, ext4: e2fsck -f -y, because errors were found in it (")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("offset", "data"),
    [(32 * 512 + 4, b"\xff\xff\xff\x07"), (0x41, b"\x01")],
    ids=["Windows", "Linux"],
)
def test_a_fat_with_its_dirty_bit_is_repaired(tmp_path: Path, offset: int, data: bytes) -> None:
    golden = Golden("vfat", tmp_path)
    golden.patch(offset, data)
    (line,) = golden.restored_from_repaired()
    assert line.startswith("partition 1, vfat: fsck.fat -a, because it was not unmounted")


@pytest.mark.nightly
def test_an_exfat_with_its_dirty_bit_is_repaired(tmp_path: Path) -> None:
    golden = Golden("exfat", tmp_path)
    golden.patch(106, b"\x02")
    (line,) = golden.restored_from_repaired()
    assert line.startswith("partition 1, exfat: fsck.exfat -p, because it was not unmounted")


@pytest.mark.nightly
def test_an_f2fs_that_was_not_unmounted_is_repaired(tmp_path: Path) -> None:
    golden = Golden("f2fs", tmp_path)
    with golden.volume.open("r+b") as file:
        leave_mounted(file)
    (line,) = golden.restored_from_repaired()
    assert line.startswith("partition 1, f2fs: fsck.f2fs -f, because it was not unmounted")


def leave_mounted(file) -> None:  # type: ignore[no-untyped-def]
    """Take the mark of an unmount out of both checkpoints of an F2FS."""
    file.seek(1024 + 76)
    (checkpoints,) = struct.unpack("<I", file.read(4))
    for place in (checkpoints, checkpoints + 512):
        file.seek(place * 4096)
        raw = bytearray(file.read(4096))
        flags, length = struct.unpack_from("<II", raw, 132)
        if not 6 < length <= 512:
            continue
        struct.pack_into("<I", raw, 132, flags & ~1)
        (end,) = struct.unpack_from("<I", raw, 164)
        checksum = zlib.crc32(raw[:end], 0xF2F52010 ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        struct.pack_into("<I", raw, end, checksum)
        file.seek(place * 4096)
        file.write(raw)


@pytest.mark.nightly
def test_an_ntfs_that_is_only_marked_dirty_is_unmarked_after_a_check(tmp_path: Path) -> None:
    golden = Golden("ntfs", tmp_path)
    run("ntfsfix", golden.volume)  # asks Windows to check it
    (line,) = golden.restored_from_repaired()
    assert line.startswith(
        "partition 1, ntfs: ntfsresize --info, ntfsfix --clear-dirty, because Windows has to"
    )


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (restart_page(5, major=2), "Windows is hibernated or was shut down with fast startup"),
        (restart_page(5, in_use=0), "its journal holds changes that are not in the file system"),
    ],
    ids=["hibernated", "journal"],
)
def test_what_only_windows_can_mend_is_refused_before_anything_is_written(
    tmp_path: Path, page: bytes, reason: str
) -> None:
    golden = Golden("ntfs", tmp_path)
    said = run("ntfscluster", "-q", "-F", "/$LogFile", golden.volume)
    cluster = int(said.split("Length\n", 1)[1].split()[1])
    golden.patch(cluster * 4096, page)
    disk = golden.disk()
    before = disk.read_bytes()
    with loop(disk) as node, pytest.raises(CodedError) as caught:
        repair(described(node), never, ignore_all)
    assert str(caught.value).startswith(
        f"RW425: partition 1, ntfs cannot be repaired here: {reason}"
    )
    assert disk.read_bytes() == before


@pytest.mark.nightly
def test_an_xfs_that_the_kernel_does_not_mount_is_named_and_its_log_is_kept(
    tmp_path: Path,
) -> None:
    golden = Golden("xfs", tmp_path)
    golden.crash()
    root = int(run("xfs_db", "-r", "-c", "sb 0", "-c", "p rootino", golden.volume).split()[-1])
    said = run("xfs_db", "-r", "-c", f"inode {root}", "-c", "daddr", golden.volume)
    golden.patch(int(said.split()[-1]) * 512, bytes(4096))  # the root folder's inodes
    with loop(golden.disk()) as node, pytest.raises(CodedError) as caught:
        repair(described(node), ignore_all, ignore_all)
    assert str(caught.value).startswith("RW426: partition 1, xfs is not clean after mount")
    assert caught.value.action == (
        "Look at it with xfs_repair by hand; `xfs_repair -L` drops what is in its log, and is "
        "never done here"
    )


@pytest.mark.nightly
def test_a_clean_disk_is_not_written(tmp_path: Path) -> None:
    disk = Golden("ext4", tmp_path).disk()
    before = disk.read_bytes()
    with loop(disk) as node:
        assert repair(described(node), never, ignore_all) == ()
    assert disk.read_bytes() == before


def test_partitions_that_are_not_backed_up_are_not_repaired(tmp_path: Path) -> None:
    golden = Golden("ext4", tmp_path)
    golden.crash()
    disk = blank(tmp_path / "disk", golden.size + 4 * MIB)
    size = golden.size // MIB
    table(disk, f"label: gpt\nstart=1MiB, size={size}MiB\nstart={size + 1}MiB, size=1MiB\n")
    insert(disk, MIB, golden.volume)
    before = disk.read_bytes()
    with loop(disk) as node:
        assert repair(described(node), never, ignore_all, (2,)) == ()
        assert disk.read_bytes() == before
        assert len(repair(described(node), ignore_all, ignore_all, (1,))) == 1


def test_half_of_a_mirror_is_not_repaired(tmp_path: Path) -> None:
    golden = Golden("ext4", tmp_path)
    golden.crash()
    disk = golden.disk()
    with disk.open("r+b") as file:
        file.seek(-1024, 2)
        file.write(b"Intel Raid ISM Cfg Sig. 1.2.02".ljust(512, b"\0"))
    before = disk.read_bytes()
    with loop(disk) as node:
        assert repair(described(node), never, ignore_all) == ()
    assert disk.read_bytes() == before


def test_what_is_stopped_before_the_repair_leaves_the_disk_as_it_was(tmp_path: Path) -> None:
    golden = Golden("ext4", tmp_path)
    golden.crash()
    disk = golden.disk()
    before = disk.read_bytes()
    with loop(disk) as node, pytest.raises(AssertionError):
        repair(described(node), never, ignore_all)
    assert disk.read_bytes() == before
    assert str(disk) not in run("losetup", "--list", "--noheadings")


class FakeServer(ChunkStore):
    """A chunk store that takes manifests as the server does."""

    def put_manifest(self, operation: str, image: str, data: bytes) -> str:  # type: ignore[override]
        del operation, image
        return super().put_manifest(data)


def test_the_step_says_what_was_repaired_and_what_could_not_be_read(tmp_path: Path) -> None:
    golden = Golden("ext4", tmp_path)
    golden.crash()
    disk = golden.disk()
    block = int(run("debugfs", "-R", "bmap /file-0 3", f"{disk}?offset={MIB}"))
    place = MIB + block * 4096
    written: list[str] = []
    with failing_disk(disk, tmp_path) as (node, control):
        fail(control, (place, 512))
        machine: Any = SimpleNamespace(disks=lambda: SimpleNamespace(disks=(described(node),)))
        context = StepContext(
            environment="deploy-os",
            machine_name="golden",
            operation="op-1",
            machine=machine,
            installed_on=lambda _: None,
            system_on=lambda _disk, _others: None,
            chunks=FakeServer(tmp_path / "store", reserve=0),  # type: ignore[arg-type]
            progress=ignore,
            check=ignore_all,
            writing=lambda: written.append("writing"),
            report=ignore_all,
            state=tmp_path,
            fetch=no_content,
            pause=lambda _: None,
        )
        step = Backup(
            "golden", DiskSelector(path="test"), on_bad_sector="skip-and-mark", repair=True
        )
        found = run_step(step, context)
    assert written == ["writing"]
    assert found["repaired"].startswith("partition 1, ext4: e2fsck -f -p, because its journal")
    assert found["bytes-unreadable"] == "512"
    assert found["unreadable"] == (
        f"512 bytes at byte {place:,}: partition 1, ext4: the file /file-0"
    )
