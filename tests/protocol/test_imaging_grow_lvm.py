"""LVM volumes that take the free space of a larger disk, with LVM's and the file systems' tools.

This kernel may lack device-mapper: what lies in several pieces is put together by ``CopiedVolume``
then. The RAM system has the real one.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders.drift import verify

from agent.commands import dmsetup, lvm
from agent.errors import CodedError, CommandError, MissingCommandError
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
    tree,
    vfat,
)
from tests.protocol.lvm_disks import (
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


@contextmanager
def group_of(disk: Path, *parts: Extent) -> Iterator[Lvm]:
    with lvm_tools(disk, *parts) as tools:
        yield tools


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
    with group_of(path, Extent(START, size * MIB)) as tools:
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


def volume_of(disk: Path, name: str, *parts: tuple[int, int]) -> list[Extent]:
    """Return where a volume lies as LVM's own tools see it; its metadata has no error."""
    with group_of(disk, *(Extent(*part) for part in parts)) as tools:
        tools("vgck", "vg0")
        return tools.pieces("vg0", name)


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


@contextmanager
def copied_volume(
    _name: str, device: Path, pieces: Sequence[tuple[int, int]], *, write: bool = False
) -> Iterator[Path]:
    """Stand for device-mapper: a copy of the pieces, whose bytes go back at the end."""
    assert write
    extents = [Extent(*piece) for piece in pieces]
    content = Path(f"/tmp/rackwright-copied-{device.name}")
    try:
        read_volume(device, extents, content)
        with loop(content) as node:
            yield Path(node)
        write_volume(device, extents, content)
    finally:
        content.unlink(missing_ok=True)


@pytest.fixture
def pieces_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what lies in several pieces put together, by a copy where the kernel cannot."""
    if not dmsetup.is_there():
        monkeypatch.setattr(dmsetup, "is_there", lambda: True)
        monkeypatch.setattr(dmsetup, "composed", copied_volume)


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
    assert (
        pieces == [Extent(START + MIB, (places[1][1] - MIB) // PE * PE)]
        or total(pieces) == (places[1][1] - MIB) // PE * PE
    )
    capacity = checked(target, pieces, filesystem, tmp_path / "check")
    assert capacity > size * MIB + 200 * MIB
    again = restored(image, target, "last")
    assert (again.partition_grown, again.volume_grown) == (2, "vg0/root")
    assert again.chunks_written < first.chunks_written
    assert checked(target, pieces, filesystem, tmp_path / "check") == capacity
    restored(image, target, "none")
    assert verify(image[0], str(target)) == []
