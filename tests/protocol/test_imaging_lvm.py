"""Capture and restore of disks with LVM, which LVM's own tools made and look at afterwards."""

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from builders.drift import verify

from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.extent import Extent, between, merged, total, without
from agent.imaging.manifest import LogicalVolume, Manifest
from agent.imaging.restore import restore
from providers.imaging.restore_test import run_restore_test
from providers.imaging.store import ChunkStore
from tests.protocol.imaging_disks import (
    MIB,
    MemoryStore,
    blank,
    described,
    ext4,
    garbage,
    ignore,
    loop,
    run,
    table,
    tree,
)
from tests.protocol.lvm_disks import Lvm, lvm, read_volume, write_volume

pytestmark = pytest.mark.needs_root

SIZE = 256 * MIB
PART = Extent(34 * MIB, 220 * MIB)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("content") / "files", 7, 6 * MIB)


def fill(disk: Path, tools: Lvm, group: str, name: str, content: Path) -> None:
    """Make an ext4 with files in a volume."""
    pieces = tools.pieces(group, name)
    image = disk.with_name(f"{disk.name}-{group}-{name}")
    size = sum(piece.length for piece in pieces)
    write_volume(disk, pieces, ext4(blank(image, size), 0, size, content))
    image.unlink()


def files(image: Path, folder: Path) -> dict[str, bytes]:
    """Return all files of an ext4 by their paths."""
    folder.mkdir()
    run("debugfs", "-R", f"rdump / {folder}", image)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def server_disk(path: Path, content: Path) -> Path:
    """A boot partition, and a group with root in two pieces, home, swap and free space.

    All free space holds garbage.
    """
    garbage(path, SIZE)
    table(path, "label: gpt\nstart=2MiB, size=32MiB, type=L\nstart=34MiB, size=220MiB, type=V\n")
    ext4(path, 2 * MIB, 32 * MIB, content)
    with lvm(path, PART) as tools:
        tools("pvcreate", tools.nodes[0])
        tools("vgcreate", "vg", tools.nodes[0])
        tools.create("vg", "root", "40M")
        tools.create("vg", "old", "8M")
        tools.create("vg", "swap_1", "16M")
        tools("lvextend", "-L", "60M", "vg/root")
        tools("lvremove", "--yes", "vg/old")
        tools.create("vg", "home", "48M")
        fill(path, tools, "vg", "root", content)
        fill(path, tools, "vg", "home", content)
        (swap,) = tools.pieces("vg", "swap_1")
        with loop(path, "--offset", str(swap.offset), "--sizelimit", str(swap.length)) as node:
            run("mkswap", node)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, content: Path) -> Path:
    return server_disk(tmp_path_factory.mktemp("disks") / "server", content)


@pytest.fixture(scope="module")
def captured(server: Path) -> tuple[Manifest, MemoryStore]:
    store = MemoryStore()
    with loop(server) as node:
        return capture(described(node), store, ignore), store


def outline(volumes: tuple[LogicalVolume, ...]) -> list[tuple[str, str, str, str]]:
    return [(each.group, each.name, each.filesystem, each.reason) for each in volumes]


def test_of_volumes_only_used_blocks_are_kept(
    server: Path, captured: tuple[Manifest, MemoryStore]
) -> None:
    manifest, _ = captured
    assert [
        (part.number, part.filesystem, part.method, part.reason) for part in manifest.partitions
    ] == [(1, "ext4", "used-blocks", ""), (2, "LVM2_member", "used-blocks", "")]
    assert outline(manifest.volumes) == [
        ("vg", "home", "ext4", ""),
        ("vg", "root", "ext4", ""),
        ("vg", "swap_1", "swap", ""),
    ]
    with lvm(server, PART) as tools:
        for volume in manifest.volumes:
            assert list(volume.extents) == tools.pieces("vg", volume.name)
    assert len(manifest.volumes[1].extents) == 2
    assert manifest.used_bytes < 60 * MIB  # of 256, with 6 MiB of files three times
    data = manifest_format.encode(manifest)
    assert manifest_format.decode(data) == manifest


def test_a_disk_and_a_file_give_the_same_image(
    server: Path, captured: tuple[Manifest, MemoryStore]
) -> None:
    assert capture(described(server), MemoryStore(), ignore) == captured[0]


def test_a_restored_group_is_whole_and_its_volumes_hold_the_same_files(
    tmp_path: Path, server: Path, captured: tuple[Manifest, MemoryStore]
) -> None:
    manifest, store = captured
    target = garbage(tmp_path / "target", SIZE)
    with loop(target) as node:
        restore(manifest, described(node), store, ignore)
        assert verify(manifest, node) == []
    with lvm(target, PART) as tools:
        assert tools("vgck", "vg") == ""
        assert tools("pvs", "--noheadings", "-o", "vg_name,pv_attr").split() == ["vg", "a--"]
        for name in ("root", "home"):
            pieces = tools.pieces("vg", name)
            before = read_volume(server, pieces, tmp_path / f"{name}-before")
            after = read_volume(target, pieces, tmp_path / f"{name}-after")
            run("e2fsck", "-f", "-n", after)
            found = files(after, tmp_path / f"{name}-files")
            assert found == files(before, tmp_path / f"{name}-expected")
            assert len(found) > 8
        (swap,) = tools.pieces("vg", "swap_1")
        assert "swap" in run("blkid", "--probe", "--offset", str(swap.offset), target)


def test_the_metadata_areas_are_kept_whole_and_free_extents_are_not(
    server: Path, captured: tuple[Manifest, MemoryStore]
) -> None:
    manifest, _ = captured
    assert without((Extent(PART.offset, MIB),), manifest.used) == ()
    with lvm(server, PART) as tools:
        taken = merged(
            piece for volume in manifest.volumes for piece in tools.pieces("vg", volume.name)
        )
    free = without((between(taken[-1].end, PART.end - 4 * MIB),), manifest.used)
    assert total(free) == PART.end - 4 * MIB - taken[-1].end


def test_the_restore_test_checks_what_volumes_hold(
    tmp_path: Path, captured: tuple[Manifest, MemoryStore]
) -> None:
    outcome = proven(tmp_path, *captured)
    assert outcome.ok
    assert outcome.details == (
        f"{captured[0].chunk_count} chunks: intact",
        "partition table gpt: intact",
        "partition 1, ext4: intact",
        "partition 2, LVM: intact",
        "volume vg/home, ext4: intact",
        "volume vg/root, ext4: intact",
        "volume vg/swap_1: swap, of which only the header is kept",
    )


def proven(tmp_path: Path, manifest: Manifest, frames: MemoryStore):  # noqa: ANN201 - see below
    store = ChunkStore(tmp_path / "store", reserve=0)
    for digest, frame in frames.frames.items():
        store.put(digest, frame)
    digest = store.put_manifest(manifest_format.encode(manifest))
    return run_restore_test(store, digest, tmp_path)
