"""Every file of every file system survives capture, restore test and restore.

Restored to a disk full of garbage, so that a block which the map forgets is seen.
"""

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.imaging import manifest as manifest_format
from agent.imaging.capture import capture
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
    noise,
    run,
)

pytestmark = pytest.mark.needs_root


@contextmanager
def mounted(volume: str | Path, *options: str) -> Iterator[Path]:
    place = Path(str(volume) + ".mnt") if isinstance(volume, Path) else Path("/mnt")
    place.mkdir(exist_ok=True)
    run("mount", *options, volume, place)
    try:
        yield place
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


def mkfs_knows(feature: str) -> bool:
    command = ["mkfs.btrfs", "-O", "list-all"]
    return feature in subprocess.run(command, capture_output=True, check=False, text=True).stderr


@pytest.mark.parametrize(
    ("made", "mount"),
    [
        (("-m", "dup"), ""),
        (("-m", "single"), "compress-force=zstd"),
        (("-m", "dup", "-d", "dup"), "compress-force=lzo"),
        (("--mixed",), ""),
        (("-O", "block-group-tree"), "compress-force=zstd"),
        (("-n", "4096", "--csum", "xxhash"), "compress-force=zlib"),
        (("-O", "^skinny-metadata,^no-holes", "-R", "^free-space-tree"), "space_cache=v1"),
    ],
)
def test_a_btrfs_keeps_all_copies_of_all_trees_and_files(
    tmp_path: Path, made: tuple[str, ...], mount: str
) -> None:
    if "block-group-tree" in made and not mkfs_knows("block-group-tree"):
        pytest.skip("this mkfs.btrfs makes no block group tree")
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
