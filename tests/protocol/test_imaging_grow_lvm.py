"""LVM volumes that take the free space of a larger disk, with LVM's and the file systems' tools.

This kernel may lack device-mapper: what lies in several pieces is put together by ``CopiedVolume``
then. The RAM system has the real one.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve
from builders.drift import verify

from agent.commands import dmsetup, lvm
from agent.errors import MissingCommandError
from agent.imaging.capture import capture
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent, total
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
from tests.protocol.lvm_disks import (
    RAID,
    SNAPSHOT,
    THIN_POOL,
    Lvm,
    hidden,
    read_volume,
    rewrite,
    with_volumes,
    write_volume,
)
from tests.protocol.lvm_disks import lvm as lvm_tools
from tests.protocol.test_imaging_grow import CHECKS, fill, partitions

pytestmark = pytest.mark.needs_root

START = 17 * MIB
PE = 4 * MIB
MAKE = {
    "ext4": "mkfs.ext4 -q -F",
    "xfs": "mkfs.xfs -q -f",
    "btrfs": "mkfs.btrfs -q -f",
    "ntfs": "mkfs.ntfs -q -F -f",
    "swap": "mkswap",
}
Volumes = Sequence[tuple[str, int, str]]
"""Name, MiB and file system."""


def lvm_disk(
    path: Path, volumes: Volumes, *, size: int, label: str = "gpt", options: Sequence[str] = ()
) -> Path:
    """Return a disk with a FAT and, in its last partition of ``size`` MiB, the group vg0."""
    blank(path, START + size * MIB + MIB)
    first, last = ("U", "V") if label == "gpt" else ("ef", "8e")
    table(
        path,
        f"label: {label}\nstart=1MiB, size=16MiB, type={first}\n"
        f"start=17MiB, size={size}MiB, type={last}\n",
    )
    vfat(path, MIB, 16 * MIB)
    with lvm_tools(path, Extent(START, size * MIB)) as tools:
        tools("pvcreate", *options, *tools.nodes)
        tools("vgcreate", "vg0", *tools.nodes)
        for name, megabytes, _ in volumes:
            tools.create("vg0", name, f"{megabytes}M")
        places = {name: tools.pieces("vg0", name) for name, _, _ in volumes}
    for name, _, filesystem in volumes:
        made(path, places[name], filesystem, path.with_suffix(f".{name}"))
    return path


def made(disk: Path, pieces: Sequence[Extent], filesystem: str, folder: Path) -> None:
    """Make a file system where a volume lies, with a file in it."""
    content = blank(folder.with_suffix(".volume"), total(pieces))
    with loop(content) as node:
        run(*MAKE[filesystem].split(), node)
        if filesystem != "swap":
            fill(node, folder, filesystem)
    write_volume(disk, pieces, content)
    content.unlink()


def captured(path: Path) -> tuple[Manifest, MemoryStore]:
    store = MemoryStore()
    with loop(path) as node:
        return capture(described(node), store, ignore), store


def restored(image: tuple[Manifest, MemoryStore], target: Path, grow: str) -> RestoreResult:
    with loop(target) as node:
        return restore(image[0], described(node), image[1], ignore, grow=grow)


def volume_of(disk: Path, name: str, part: tuple[int, int]) -> list[Extent]:
    """Return where a volume lies as LVM's own tools see it, in metadata without an error."""
    with lvm_tools(disk, Extent(*part)) as tools:
        assert tools("vgck", "vg0") == ""
        pieces = tools.pieces("vg0", name)
    joined = [pieces[0]]
    for piece in pieces[1:]:
        if piece.offset == joined[-1].end:
            joined[-1] = Extent(joined[-1].offset, joined[-1].length + piece.length)
        else:
            joined.append(piece)
    return joined


def checked(disk: Path, pieces: Sequence[Extent], filesystem: str, folder: Path) -> int:
    """Check the file system of a volume and its file; return how many bytes it has."""
    content = read_volume(disk, pieces, folder.with_suffix(".read"))
    with loop(content) as node:
        run(*CHECKS[filesystem].split(), node)
        if filesystem == "ntfs":
            size = int(
                run("ntfsresize", "--info", "--force", node)
                .partition("Current volume size:")[2]
                .split()[0]
            )
            found = subprocess.run(
                ["ntfscat", "--force", node, "file"], check=True, capture_output=True
            )
            assert found.stdout == noise(3 * MIB)
        else:
            folder.mkdir(exist_ok=True)
            run("mount", "-o", "ro", "-t", filesystem, node, folder)
            try:
                assert (folder / "file").read_bytes() == noise(3 * MIB)
                size = int(run("df", "--block-size=1", "--output=size", folder).split()[1])
            finally:
                run("umount", folder)
    content.unlink()
    return size


class CopiedVolume:
    """Stands for device-mapper: a copy of the pieces, whose bytes go back at the end."""

    def __init__(self, folder: Path) -> None:
        self._content = folder / "copied"

    @contextmanager
    def composed(
        self, _name: str, device: Path, pieces: Sequence[tuple[int, int]], *, write: bool = False
    ) -> Iterator[Path]:
        extents = [Extent(*piece) for piece in pieces]
        try:
            read_volume(device, extents, self._content)
            with loop(self._content) as node:
                yield Path(node)
            if write:
                write_volume(device, extents, self._content)
        finally:
            self._content.unlink()


@pytest.fixture
def device_mapper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what lies in several pieces put together, by a copy where the kernel cannot."""
    if not dmsetup.is_there():
        monkeypatch.setattr(dmsetup, "is_there", lambda: True)
        monkeypatch.setattr(dmsetup, "composed", CopiedVolume(tmp_path).composed)


@pytest.mark.parametrize(
    ("label", "filesystem", "size"),
    [
        ("gpt", "ext4", 40),
        *(
            pytest.param(label, filesystem, size, marks=pytest.mark.nightly)
            for label, filesystem, size in (
                ("dos", "ext4", 40),
                ("gpt", "xfs", 320),
                ("gpt", "btrfs", 160),
                ("gpt", "ntfs", 40),
            )
        ),
    ],
)
def test_a_named_volume_takes_all_free_extents_of_a_larger_disk(
    tmp_path: Path, label: str, filesystem: str, size: int
) -> None:
    path = lvm_disk(tmp_path / "disk", [("root", size, filesystem)], size=size + 17, label=label)
    image = captured(path)
    larger = path.stat().st_size + 300 * MIB
    target = blank(tmp_path / "target", larger)
    first = restored(image, target, "vg0/root")
    assert (first.partition_grown, first.volume_grown) == (2, "vg0/root")
    places = partitions(target)
    assert places == [(MIB, 16 * MIB), (START, larger - START - MIB)]
    pieces = volume_of(target, "root", places[1])
    assert pieces == [Extent(START + MIB, (places[1][1] - MIB) // PE * PE)]
    capacity = checked(target, pieces, filesystem, tmp_path / "check")
    assert capacity > size * MIB + 200 * MIB
    again = restored(image, target, "last")
    assert (again.partition_grown, again.volume_grown) == (2, "vg0/root")
    assert again.chunks_written < first.chunks_written
    assert checked(target, pieces, filesystem, tmp_path / "check") == capacity
    restored(image, target, "none")
    assert verify(image[0], str(target)) == []


@pytest.mark.usefixtures("device_mapper")
def test_a_volume_goes_on_behind_the_swap_that_follows_it(tmp_path: Path) -> None:
    path = lvm_disk(tmp_path / "disk", [("root", 40, "ext4"), ("swap", 16, "swap")], size=64)
    image = captured(path)
    target = blank(tmp_path / "target", path.stat().st_size + 100 * MIB)
    assert restored(image, target, "last").volume_grown == "vg0/root"
    place = partitions(target)[1]
    pieces = volume_of(target, "root", place)
    swap = Extent(START + 41 * MIB, 16 * MIB)
    assert pieces == [Extent(START + MIB, 40 * MIB), Extent(swap.end, 104 * MIB)]
    assert volume_of(target, "swap", place) == [swap]
    assert checked(target, pieces, "ext4", tmp_path / "check") > 120 * MIB
    assert read_at(target, swap) == read_at(path, swap)


def read_at(disk: Path, place: Extent) -> bytes:
    with disk.open("rb") as file:
        file.seek(place.offset)
        return file.read(place.length)


@pytest.mark.nightly
def test_without_device_mapper_a_volume_in_pieces_is_refused_before_the_first_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lvm_disk(tmp_path / "disk", [("root", 40, "ext4"), ("swap", 16, "swap")], size=64)
    image = captured(path)
    target = blank(tmp_path / "target", 300 * MIB)
    monkeypatch.setattr(dmsetup, "is_there", lambda: False)
    refused(image, target, "vg0/root", "RW417: .* vg0/root .* cannot put together without device")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("agent.commands.runner._PATH", str(tmp_path))
    monkeypatch.setattr("agent.commands.lvm.search_path", lambda _: str(tmp_path))
    with pytest.raises(MissingCommandError, match="RW566: the command lvm does not exist here"):
        restore(image[0], described(target), image[1], ignore, grow="vg0/root")
    assert_blank(target)


def refused(image: tuple[Manifest, MemoryStore], target: Path, grow: str, said: str) -> None:
    with pytest.raises(RefusedDiskError, match=said):
        restored(image, target, grow)
    assert_blank(target)


def assert_blank(target: Path) -> None:
    with target.open("rb") as file:
        assert file.read() == bytes(target.stat().st_size)


@pytest.mark.nightly
@pytest.mark.usefixtures("device_mapper")
def test_other_volumes_of_the_group_are_refused_and_do_not_hinder(tmp_path: Path) -> None:
    path = lvm_disk(tmp_path / "disk", [("root", 16, "ext4")], size=160)
    parts = {
        "data": "pool_tdata",
        "meta": "pool_tmeta",
        "image0": "mirror_rimage_0",
        "meta0": "mirror_rmeta_0",
        "image1": "mirror_rimage_1",
        "meta1": "mirror_rmeta_1",
    }
    with lvm_tools(path, Extent(START, 160 * MIB)) as tools:
        for name in (*parts, "origin", "store"):
            tools.create("vg0", name, "8M")
        tools.create("vg0", "stripes", "16M", "--stripes", "1")
        added = (
            THIN_POOL.format(count=2)
            + RAID.format(count=2)
            + SNAPSHOT.format(count=2, origin="origin", store="store")
        )
        rewrite(tools, "vg0", tmp_path, lambda text: with_volumes(hidden(text, parts), added))
    image = captured(path)
    target = blank(tmp_path / "target", 300 * MIB)
    for name, said in (
        ("thin", "there is no map of used blocks for LVM volumes of the type thin"),
        ("pool", "of the type thin-pool"),
        ("mirror", "of the type raid1"),
        ("origin", r"the LVM volume snapshot0 \(snapshot\) is built of it"),
        ("stripes", "it has no file system that is known"),
        ("mirror_rimage_0", "the image has no LVM volume vg0/mirror_rimage_0"),
    ):
        refused(image, target, f"vg0/{name}", f"RW417: .*{said}")
    assert restored(image, target, "vg0/root").volume_grown == "vg0/root"
    place = partitions(target)[1]
    pieces = volume_of(target, "root", place)
    assert total(pieces) == (place[1] - MIB) // PE * PE - 80 * MIB
    assert checked(target, pieces, "ext4", tmp_path / "check") > 150 * MIB
    before = volume_of(path, "stripes", (START, 160 * MIB))
    assert volume_of(target, "stripes", place) == before


@pytest.mark.nightly
def test_a_group_that_goes_on_elsewhere_is_refused(tmp_path: Path) -> None:
    path = lvm_disk(tmp_path / "disk", [("root", 40, "ext4")], size=57)
    other = blank(tmp_path / "other", 64 * MIB)
    with (
        loop(path, "--offset", str(START), "--sizelimit", str(57 * MIB)) as first,
        loop(other) as second,
    ):
        tools = Lvm((first, second), {first: START, second: 0})
        tools("pvcreate", second)
        tools("vgextend", "vg0", second)
    image = captured(path)
    said = "RW417: .* its LVM volume group vg0 has 2 physical volumes, and 1 of them in the image"
    for grow in ("vg0/root", "last"):
        refused(image, blank(tmp_path / "target", 300 * MIB), grow, said)


@pytest.mark.nightly
def test_of_two_volumes_that_could_grow_none_is_chosen(tmp_path: Path) -> None:
    volumes = [("home", 24, "ext4"), ("root", 24, "ext4")]
    image = captured(lvm_disk(tmp_path / "disk", volumes, size=57))
    target = blank(tmp_path / "target", 300 * MIB)
    said = "RW417: .*: 2 volumes could take the space: vg0/home, vg0/root. Name one of them"
    refused(image, target, "last", said)
    refused(image, target, "2", said)


class Cut(BaseException):
    """The machine loses power."""


@pytest.mark.parametrize(
    "moment", [pytest.param("extend_volume", marks=pytest.mark.nightly), "resize2fs"]
)
def test_a_growth_that_is_cut_leaves_a_disk_that_cannot_boot_and_is_done_again(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lvm_disk(tmp_path / "disk", [("root", 40, "ext4")], size=57)
    image = captured(path)
    target = blank(tmp_path / "target", path.stat().st_size + 100 * MIB)

    def cut(*_: object) -> None:
        raise Cut

    def half(node: Path) -> None:
        run("dd", "if=/dev/urandom", f"of={node}", "bs=1M", "count=8", "seek=2", "conv=notrunc")
        raise Cut

    with monkeypatch.context() as patch:
        if moment == "resize2fs":
            patch.setattr("agent.commands.resize2fs.grow", half)
        else:
            patch.setattr(lvm, moment, cut)
        with pytest.raises(Cut):
            restored(image, target, "vg0/root")
    assert read_at(target, Extent(0, MIB)) == bytes(MIB)
    assert b"EFI PART" not in read_at(target, Extent(target.stat().st_size - 512, 512))
    assert restored(image, target, "vg0/root").volume_grown == "vg0/root"
    pieces = volume_of(target, "root", partitions(target)[1])
    assert checked(target, pieces, "ext4", tmp_path / "check") > 120 * MIB


def test_a_disk_of_the_same_size_gives_a_volume_the_free_extents_that_are_there(
    tmp_path: Path,
) -> None:
    # The partition goes on into the MiB that has the table's backup.
    path = blank(tmp_path / "disk", 82 * MIB)
    size = 82 * MIB - START - 33 * 512
    table(path, f"label: gpt\nstart=1MiB, size=16MiB, type=U\nstart=17MiB, size={size // 512}\n")
    vfat(path, MIB, 16 * MIB)
    with lvm_tools(path, Extent(START, size)) as tools:
        tools("pvcreate", "--dataalignment", "512k", *tools.nodes)
        tools("vgcreate", "--physicalextentsize", "128k", "vg0", *tools.nodes)
        tools.create("vg0", "root", "40M")
        pieces = tools.pieces("vg0", "root")
    made(path, pieces, "ext4", tmp_path / "root")
    image = captured(path)
    target = blank(tmp_path / "target", 82 * MIB)
    assert restored(image, target, "last").volume_grown == ""
    assert verify(image[0], str(target)) == []
    result = restored(image, target, "vg0/root")
    assert (result.partition_grown, result.volume_grown) == (0, "vg0/root")
    assert partitions(target) == partitions(path)
    (piece,) = volume_of(target, "root", (START, size))
    assert piece.end > 81 * MIB
    assert checked(target, [piece], "ext4", tmp_path / "check") > 50 * MIB
    restored(image, target, "none")
    assert verify(image[0], str(target)) == []


def test_a_disk_that_is_larger_by_less_than_an_extent_is_as_the_image(tmp_path: Path) -> None:
    path = lvm_disk(tmp_path / "disk", [("root", 40, "ext4")], size=41)
    image = captured(path)
    target = blank(tmp_path / "target", path.stat().st_size + 3 * MIB)
    result = restored(image, target, "vg0/root")
    assert (result.partition_grown, result.volume_grown) == (0, "")
    assert verify(image[0], str(target)) == []


@pytest.mark.nightly
def test_neither_a_group_of_the_same_name_nor_a_foreign_system_id_is_in_the_way(
    tmp_path: Path,
) -> None:
    options = ("--metadatacopies", "2")
    path = lvm_disk(tmp_path / "disk", [("root", 40, "ext4")], size=64, options=options)
    with lvm_tools(path, Extent(START, 64 * MIB)) as tools:
        rewrite(
            tools,
            "vg0",
            tmp_path,
            lambda text: text.replace("\tseqno =", '\tsystem_id = "golden"\n\tseqno =', 1),
        )
    image = captured(path)
    twin = tmp_path / "twin"
    shutil.copy(path, twin)
    before = digest(twin)
    target = blank(tmp_path / "target", path.stat().st_size + 100 * MIB)
    with loop(twin, "--offset", str(START), "--sizelimit", str(64 * MIB)):
        assert restored(image, target, "vg0/root").volume_grown == "vg0/root"
    assert digest(twin) == before
    with lvm_tools(target, Extent(*partitions(target)[1])) as tools:
        (piece,) = evolve(tools, system="golden").pieces("vg0", "root")
    assert checked(target, [piece], "ext4", tmp_path / "check") > 130 * MIB


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.nightly
@pytest.mark.usefixtures("device_mapper")
def test_the_last_of_two_physical_volumes_on_the_disk_grows(tmp_path: Path) -> None:
    path = blank(tmp_path / "disk", 100 * MIB)
    table(path, "label: gpt\nstart=1MiB, size=40MiB, type=V\nstart=41MiB, size=58MiB, type=V\n")
    places = Extent(MIB, 40 * MIB), Extent(41 * MIB, 58 * MIB)
    with lvm_tools(path, *places) as tools:
        tools("pvcreate", *tools.nodes)
        tools("vgcreate", "vg0", *tools.nodes)
        tools.create("vg0", "root", "80M")
        pieces = tools.pieces("vg0", "root")
    assert len(pieces) == 2
    made(path, pieces, "ext4", tmp_path / "root")
    image = captured(path)
    target = blank(tmp_path / "target", 200 * MIB)
    assert restored(image, target, "vg0/root").partition_grown == 2
    assert partitions(target) == [(MIB, 40 * MIB), (41 * MIB, 158 * MIB)]
    with lvm_tools(target, *(Extent(*place) for place in partitions(target))) as tools:
        assert tools("vgck", "vg0") == ""
        pieces = tools.pieces("vg0", "root")
    assert checked(target, pieces, "ext4", tmp_path / "check") > 160 * MIB
