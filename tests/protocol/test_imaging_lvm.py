"""Capture and restore of disks with LVM, which LVM's own tools made and look at afterwards."""

import shutil
import struct
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest
from builders.drift import verify

from agent.commands import dmsetup
from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
from agent.imaging.chunk import digest_of, pack, spans
from agent.imaging.device import Buffers, load, open_device
from agent.imaging.extent import Extent, between, merged, total, without
from agent.imaging.manifest import LogicalVolume, Manifest
from agent.imaging.restore import restore
from providers.imaging.image_record import RestoreTest
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
from tests.protocol.lvm_disks import (
    RAID,
    SNAPSHOT,
    THIN_POOL,
    Lvm,
    hidden,
    lvm,
    read_volume,
    rewrite,
    with_volumes,
    write_volume,
)

REPAIR = "mount it once and unmount it, or run e2fsck -f"

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


def proven(tmp_path: Path, manifest: Manifest, frames: MemoryStore) -> RestoreTest:
    store = ChunkStore(tmp_path / "store", reserve=0)
    for digest, frame in frames.frames.items():
        store.put(digest, frame)
    digest = store.put_manifest(manifest_format.encode(manifest))
    return run_restore_test(store, digest, tmp_path)


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


def without_used(path: Path, manifest: Manifest, dropped: Extent) -> tuple[Manifest, MemoryStore]:
    """Return the image as if some of its used blocks had been called free."""
    used = without(manifest.used, (dropped,))
    store, digests = MemoryStore(), b""
    with open_device(str(path)) as device, Buffers().lent() as buffer:
        for span in spans(used, manifest.disk_size):
            content = bytes(load(device, span, buffer))
            store.put(digest_of(content), pack(content))
            digests += bytes.fromhex(digest_of(content))
    return attrs.evolve(manifest, used=used, digests=digests), store


@pytest.mark.parametrize("volume", ["home", "root"])
def test_an_image_that_lacks_a_block_of_a_volume_does_not_pass(
    tmp_path: Path, server: Path, captured: tuple[Manifest, MemoryStore], volume: str
) -> None:
    with lvm(server, PART) as tools:
        inodes = tools.pieces("vg", volume)[0].offset + (64 << 10)
    outcome = proven(tmp_path, *without_used(server, captured[0], Extent(inodes, MIB)))
    assert not outcome.ok
    finding = f"volume vg/{volume}, ext4: e2fsck ended with"
    assert any(line.startswith(finding) for line in outcome.details)


def test_an_image_without_its_metadata_area_does_not_pass(
    tmp_path: Path, server: Path, captured: tuple[Manifest, MemoryStore]
) -> None:
    ring = Extent(PART.offset + 8192, 512 << 10)  # behind the newest text lie older ones
    outcome = proven(tmp_path, *without_used(server, captured[0], ring))
    assert not outcome.ok
    assert any(line.startswith("partition 2, LVM: ") for line in outcome.details)


def test_an_image_whose_manifest_says_something_else_of_its_volumes_does_not_pass(
    tmp_path: Path, captured: tuple[Manifest, MemoryStore]
) -> None:
    manifest, store = captured
    home, root, swap = manifest.volumes
    moved = attrs.evolve(root, extents=home.extents)
    outcome = proven(tmp_path, attrs.evolve(manifest, volumes=(moved, swap)), store)
    assert not outcome.ok
    assert outcome.details[-3:] == (
        "volume vg/home: the manifest does not have it",
        "volume vg/root: LVM's metadata says that it lies elsewhere",
        "volume vg/swap_1: swap, of which only the header is kept",
    )


def test_a_volume_that_was_not_unmounted_is_kept_whole_with_the_reason(
    tmp_path: Path, server: Path
) -> None:
    path = tmp_path / "disk"
    shutil.copy(server, path)
    with lvm(path, PART) as tools:
        pieces = tools.pieces("vg", "root")
        root = read_volume(path, pieces, tmp_path / "root")
        run("debugfs", "-w", "-R", "feature needs_recovery", root)
        write_volume(path, pieces, root)
    manifest = capture(described(path), MemoryStore(), ignore)
    root_volume = manifest.volumes[1]
    assert (root_volume.filesystem, root_volume.method, root_volume.reason) == (
        "ext4",
        "full-sector",
        f"its journal holds changes that are not in the file system yet: {REPAIR}",
    )
    assert without(merged(pieces), manifest.used) == ()


def test_a_volume_in_pieces_that_cannot_be_put_together_is_kept_whole(
    monkeypatch: pytest.MonkeyPatch, server: Path
) -> None:
    monkeypatch.setattr("agent.imaging.pieces.LARGEST_COPY", 50 * MIB)
    monkeypatch.setattr(dmsetup, "is_there", lambda: False)
    with loop(server) as node:
        manifest = capture(described(node), MemoryStore(), ignore)
    assert outline(manifest.volumes)[1] == (
        "vg",
        "root",
        "",
        "it lies in 2 pieces, which this machine cannot put together without device-mapper",
    )
    assert manifest.volumes[0].method == "used-blocks"


def test_pools_mirrors_and_snapshots_are_kept_whole_with_all_that_they_are_built_of(
    tmp_path: Path, content: Path
) -> None:
    path = garbage(tmp_path / "disk", 160 * MIB)
    place = Extent(0, 160 * MIB)
    parts = {
        "tmeta": "pool_tmeta",
        "tdata": "pool_tdata",
        "meta0": "mirror_rmeta_0",
        "meta1": "mirror_rmeta_1",
        "image0": "mirror_rimage_0",
        "image1": "mirror_rimage_1",
    }
    sizes = ("4M", "40M", "4M", "4M", "8M", "8M")
    with lvm(path, place) as tools:
        tools("pvcreate", tools.nodes[0])
        tools("vgcreate", "vg", tools.nodes[0])
        for name, size in zip(parts, sizes, strict=True):
            tools.create("vg", name, size)
        tools.create("vg", "origin", "16M")
        tools.create("vg", "store", "8M")
        tools.create("vg", "plain", "40M")
        for name in ("origin", "plain"):
            fill(path, tools, "vg", name, content)
        kept = [each for name in (*parts, "origin", "store") for each in tools.pieces("vg", name)]
        added = (
            THIN_POOL.format(count=10)
            + RAID.format(count=2)
            + SNAPSHOT.format(count=4, origin="origin", store="store")
        )
        rewrite(tools, "vg", tmp_path, lambda text: with_volumes(hidden(text, parts), added))
        assert "pool_tdata" in tools("lvs", "--all", "vg")
    store = MemoryStore()
    manifest = capture(described(path), store, ignore)
    assert outline(manifest.volumes) == [
        ("vg", "mirror", "", "there is no map of used blocks for LVM volumes of the type raid1"),
        ("vg", "origin", "", "the LVM volume snapshot0 (snapshot) is built of it"),
        ("vg", "plain", "ext4", ""),
        ("vg", "pool", "", "there is no map of used blocks for LVM volumes of the type thin-pool"),
        ("vg", "thin", "", "there is no map of used blocks for LVM volumes of the type thin"),
    ]
    assert without(merged(kept), manifest.used) == ()
    assert manifest.used_bytes < total(merged(kept)) + 24 * MIB
    assert proven(tmp_path, manifest, store).ok
    target = garbage(tmp_path / "target", 160 * MIB)
    restore(manifest, described(target), store, ignore)
    assert same_bytes(path, target, merged(kept))
    with lvm(target, place) as tools:
        assert tools("vgck", "vg") == ""


def same_bytes(one: Path, other: Path, extents: Iterable[Extent]) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        for extent in extents:
            first.seek(extent.offset)
            second.seek(extent.offset)
            if first.read(extent.length) != second.read(extent.length):
                return False
    return True


def test_stripes_over_two_partitions_of_a_disk_with_4096_byte_sectors(
    tmp_path: Path, content: Path
) -> None:
    path = garbage(tmp_path / "disk", 128 * MIB)
    store = MemoryStore()
    places = (Extent(1 * MIB, 60 * MIB), Extent(61 * MIB, 60 * MIB))
    script = "label: gpt\nstart=256, size=15360, type=V\nstart=15616, size=15360, type=V\n"
    with loop(path, "--sector-size", "4096") as node:
        run("sfdisk", "--quiet", node, stdin=script)
    with lvm(path, *places) as tools:
        for node in tools.nodes:
            tools("pvcreate", "--metadatacopies", "2", "--dataalignment", "1m", node)
        tools("vgcreate", "vg", *tools.nodes)
        tools.create("vg", "striped", "64M", "--stripes", "2", "--stripesize", "64k")
        fill(path, tools, "vg", "striped", content)
        pieces = tools.pieces("vg", "striped")
    with loop(path, "--sector-size", "4096") as node:
        manifest = capture(described(node, 4096), store, ignore)
    assert [part.method for part in manifest.partitions] == ["used-blocks", "used-blocks"]
    assert outline(manifest.volumes) == [("vg", "striped", "ext4", "")]
    assert list(manifest.volumes[0].extents) == pieces
    assert len(pieces) == 1024
    assert manifest.used_bytes < 50 * MIB
    assert proven(tmp_path, manifest, store).ok
    target = garbage(tmp_path / "target", 128 * MIB)
    with loop(target, "--sector-size", "4096") as node:
        restore(manifest, described(node, 4096), store, ignore)
    after = read_volume(target, pieces, tmp_path / "after")
    run("e2fsck", "-f", "-n", after)
    before = read_volume(path, pieces, tmp_path / "before")
    assert files(after, tmp_path / "one") == files(before, tmp_path / "two")
    with lvm(target, *places) as tools:
        assert tools("vgck", "vg") == ""


def test_a_group_over_two_disks_is_captured_as_far_as_it_is_on_each(
    tmp_path: Path, content: Path
) -> None:
    path = garbage(tmp_path / "disks", 128 * MIB)
    places = (Extent(0, 64 * MIB), Extent(64 * MIB, 64 * MIB))
    with lvm(path, *places) as tools:
        for node in tools.nodes:
            tools("pvcreate", node)
        tools("vgcreate", "vg", *tools.nodes)
        tools.create("vg", "here", "24M", tools.nodes[0])
        tools.create("vg", "both", "72M")
        fill(path, tools, "vg", "here", content)
        fill(path, tools, "vg", "both", content)
        both = [piece for piece in tools.pieces("vg", "both") if piece.offset < 64 * MIB]
    first = tmp_path / "first"
    first.write_bytes(path.read_bytes()[: 64 * MIB])
    store = MemoryStore()
    manifest = capture(described(first), store, ignore)
    reason = "a part of it lies in an LVM physical volume that is not on this disk"
    assert outline(manifest.volumes) == [("vg", "both", "", reason), ("vg", "here", "ext4", "")]
    assert both
    assert without(merged(both), manifest.used) == ()
    assert manifest.used_bytes < 56 * MIB
    assert proven(tmp_path, manifest, store).ok


def test_metadata_that_goes_on_at_the_beginning_of_its_ring_is_read(tmp_path: Path) -> None:
    path = blank(tmp_path / "disk", 32 * MIB)
    with lvm(path, Extent(0, 32 * MIB)) as tools:
        tools("pvcreate", "--metadatasize", "32k", "--dataalignment", "36k", tools.nodes[0])
        tools("vgcreate", "vg", tools.nodes[0])
        tools.create("vg", "v", "8M")
        for number in range(100):
            tools("vgchange", "--addtag", f"a-tag-{number}", "vg")
            tools("vgchange", "--deltag", f"a-tag-{number}", "vg")
            if text_wraps(path):
                break
        expected = tools.pieces("vg", "v")
    assert text_wraps(path)
    manifest = capture(described(path), MemoryStore(), ignore)
    assert manifest.partitions[0].reason == ""
    assert list(manifest.volumes[0].extents) == expected


def text_wraps(disk: Path) -> bool:
    header = disk.read_bytes()[4096:4608]
    size, offset, length = struct.unpack_from("<3Q", header, 32)
    return bool(offset + length > size)


def test_a_damaged_group_is_kept_in_full_with_the_reason(tmp_path: Path, server: Path) -> None:
    path = tmp_path / "disk"
    shutil.copy(server, path)
    with lvm(path, PART) as tools:
        tools("vgexport", "vg")
    manifest = capture(described(path), MemoryStore(), ignore)
    assert (manifest.partitions[1].method, manifest.partitions[1].reason) == (
        "full-sector",
        "its LVM volume group vg is exported",
    )
    assert manifest.volumes == ()
    assert without((PART,), manifest.used) == ()


def test_every_file_system_that_is_mapped_in_partitions_is_mapped_in_volumes(
    tmp_path: Path, content: Path
) -> None:
    path = blank(tmp_path / "disk", 512 * MIB)
    sizes = {"xfs": 304, "btrfs": 128}  # the least that their mkfs makes
    images = {name: blank(tmp_path / name, size * MIB) for name, size in sizes.items()}
    run("mkfs.xfs", "-q", images["xfs"])
    run("mkfs.btrfs", "--quiet", "--metadata", "single", "--rootdir", content, images["btrfs"])
    with lvm(path, Extent(0, 512 * MIB)) as tools:
        tools("pvcreate", tools.nodes[0])
        tools("vgcreate", "vg", tools.nodes[0])
        for name, size in sizes.items():
            tools.create("vg", name, "100M")
            tools.create("vg", f"behind_{name}", "8M")
            tools("lvextend", "-L", f"{size}M", f"vg/{name}")
        for name, image in images.items():
            write_volume(path, tools.pieces("vg", name), image)
    store = MemoryStore()
    manifest = capture(described(path), store, ignore)
    volumes = [volume for volume in manifest.volumes if volume.name in sizes]
    assert outline(tuple(volumes)) == [("vg", "btrfs", "btrfs", ""), ("vg", "xfs", "xfs", "")]
    assert [len(volume.extents) for volume in volumes] == [2, 2]
    assert manifest.used_bytes < 128 * MIB
    assert proven(tmp_path, manifest, store).ok
