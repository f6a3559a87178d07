"""What earlier uses left on a target is not seen any more, by the tools that look for it."""

import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.imaging.capture import capture
from agent.imaging.manifest import Manifest
from agent.imaging.restore import RestoreResult, restore
from tests.protocol.imaging_disks import (
    MIB,
    MemoryStore,
    blank,
    described,
    ext4,
    ignore,
    loop,
    run,
    table,
    tree,
)

pytestmark = pytest.mark.needs_root

SIZE = 320 * MIB
SWAP = (1 * MIB, 192 * MIB)
ROOT = (193 * MIB, SIZE - 193 * MIB)
"""To the disk's last sector: what lies at the end of one lies at the end of the other."""

Captured = tuple[Path, Manifest, MemoryStore]


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    folder = tmp_path_factory.mktemp("captured")
    path = blank(folder / "disk", SIZE)
    table(path, "label: dos\nstart=1MiB, size=192MiB, type=82\nstart=193MiB, type=83, bootable\n")
    ext4(path, *ROOT, tree(folder / "files", 1, 4 * MIB))
    with loop(path, "--offset", str(SWAP[0]), "--sizelimit", str(SWAP[1])) as node:
        run("mkswap", node)
    store = MemoryStore()
    with loop(path) as node:
        return path, capture(described(node), store, ignore), store


def signatures(disk: Path) -> list[tuple[str, str]]:
    """Return what wipefs and blkid see on the disk and on each of the two partitions."""
    size = disk.stat().st_size
    return [signatures_in(disk, place) for place in ((0, size), SWAP, ROOT)]


def signatures_in(disk: Path, place: tuple[int, int]) -> tuple[str, str]:
    with loop(disk, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
        listed = run("wipefs", "--no-act", "--noheadings", "--output", "TYPE,OFFSET", node)
        probe = ["blkid", "--probe", "--output", "export", node]
        done = subprocess.run(probe, capture_output=True, check=False, text=True)
    return listed, done.stdout.replace(node, "")


def put(disk: Path, offset: int, data: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def restored(captured: Captured, target: Path) -> RestoreResult:
    _, manifest, store = captured
    with loop(target) as node:
        return restore(manifest, described(node), store, ignore)


def made(command: str) -> Callable[[Path, tuple[int, int]], None]:
    """Return what makes a file system or volume by its own tool."""

    def make(disk: Path, place: tuple[int, int]) -> None:
        with loop(disk, "--offset", str(place[0]), "--sizelimit", str(place[1])) as node:
            run(*command.split(), node)

    return make


def md_1_0(disk: Path, place: tuple[int, int]) -> None:
    """Write the superblock of version 1.0 (Linux, ``include/uapi/linux/raid/md_p.h``)."""
    offset = (place[1] & ~0xFFF) - 0x2000
    block = bytearray(
        struct.pack("<4I16s32sQIIQII", 0xA92B4EFC, 1, 0, 0, b"u" * 16, b"old", *[0] * 6)
    )
    block = block.ljust(256, b"\0")
    struct.pack_into("<QQQ", block, 128, 0, place[1] // 512, offset // 512)
    total = sum(number for (number,) in struct.iter_unpack("<I", block))
    struct.pack_into("<I", block, 216, (total & 0xFFFFFFFF) + (total >> 32))
    put(disk, place[0] + offset, bytes(block))


def md_0_90(disk: Path, place: tuple[int, int]) -> None:
    offset = (place[1] & ~0xFFFF) - 0x10000
    block = bytearray(4096)
    struct.pack_into("<IIII", block, 0, 0xA92B4EFC, 0, 90, 0)
    total = sum(number for (number,) in struct.iter_unpack("<I", block))
    struct.pack_into("<I", block, 152, (total & 0xFFFFFFFF) + (total >> 32))
    put(disk, place[0] + offset, bytes(block))


def imsm(disk: Path, place: tuple[int, int]) -> None:
    put(disk, sum(place) - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00")


def ddf(disk: Path, place: tuple[int, int]) -> None:
    """Write the anchor header (SNIA, Common RAID Disk Data Format 2.0, section 5.7)."""
    block = bytearray(struct.pack(">I4s24s8s", 0xDE11DE11, b"\xff" * 4, b"guid", b"02.00.00"))
    block = block.ljust(512, b"\0")
    struct.pack_into(">I", block, 4, zlib.crc32(block))
    put(disk, sum(place) - 512, bytes(block))


def zfs(disk: Path, place: tuple[int, int]) -> None:
    """Write the uberblocks of all four labels (OpenZFS, ``uberblock_impl.h``)."""
    size = place[1] // (256 << 10) * (256 << 10)
    block = struct.pack("<QQQ", 0x00BAB10C, 5000, 7)
    for label in (0, 256 << 10, size - (512 << 10), size - (256 << 10)):
        for number in range(8):
            put(disk, place[0] + label + (128 << 10) + (number << 10), block)


EARLIER: dict[str, tuple[str, Callable[[Path, tuple[int, int]], None]]] = {
    "btrfs": ("btrfs", made("mkfs.btrfs -q -f")),
    "md 1.0": ("linux_raid_member", md_1_0),
    "md 0.90": ("linux_raid_member", md_0_90),
    "imsm": ("isw_raid_member", imsm),
    "ddf": ("ddf_raid_member", ddf),
    "zfs": ("zfs_member", zfs),
    "lvm": ("LVM2_member", made("pvcreate -q -f -y")),
}


@pytest.mark.parametrize("earlier", EARLIER)
@pytest.mark.parametrize("where", ["swap", "larger"])
def test_what_an_earlier_use_left_is_not_seen_after_a_restore(
    captured: Captured, tmp_path: Path, earlier: str, where: str
) -> None:
    path, manifest, _ = captured
    size = SIZE + 16 * MIB if where == "larger" else SIZE
    target = blank(tmp_path / "target", size)
    place = SWAP if where == "swap" else (0, size)
    name, make = EARLIER[earlier]
    make(target, place)
    assert name in signatures_in(target, place)[0]
    result = restored(captured, target)
    assert signatures(target) == signatures(path)
    assert b"_BHRfS_M" not in target.read_bytes()
    with target.open("rb") as one, path.open("rb") as two:
        for extent in manifest.used:
            one.seek(extent.offset)
            two.seek(extent.offset)
            assert one.read(extent.length) == two.read(extent.length)
    again = restored(captured, target)
    assert (again.chunks_written, again.signatures_cleared) == (0, 0)
    assert (name in result.formats_cleared) == bool(result.signatures_cleared)
