"""Which Btrfs is mapped, and that a damaged one is not: a real one with one thing changed.

``tests/protocol/test_imaging_content.py`` sends real ones through capture and restore.
"""

import struct
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.partclone import MapRefusedError
from agent.imaging import btrfs
from agent.imaging.extent import Extent, clipped, total
from agent.imaging.table import Reader

MIB = 1 << 20
SIZE = 160 * MIB
SUPERBLOCK = 65536
NODE = 16384


def reader(raw: bytes | bytearray) -> Reader:
    return lambda offset, length: bytes(raw[offset : offset + length]).ljust(length, b"\0")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("btrfs")
    content = folder / "content"
    content.mkdir()
    (content / "large").write_bytes(b"\xa5" * 3 * MIB)
    for number in range(400):
        (content / f"file-{number}").write_bytes(b"small" * number)
    path = folder / "volume"
    with path.open("wb") as file:
        file.truncate(SIZE)
    command = ["mkfs.btrfs", "-q", "-m", "dup", "-r", str(content)]
    subprocess.run([*command, str(path)], check=True, capture_output=True)
    return path.read_bytes()


def changed(volume: bytes, offset: int, data: bytes) -> bytearray:
    raw = bytearray(volume)
    raw[offset : offset + len(data)] = data
    return raw


def refusal(raw: bytes | bytearray, size: int = SIZE) -> str:
    with pytest.raises(MapRefusedError) as caught:
        btrfs.used(reader(raw), size)
    return str(caught.value)


def root_of(volume: bytes) -> int:
    (address,) = struct.unpack_from("<Q", volume, SUPERBLOCK + 0x50)
    return int(address)


def nodes(volume: bytes, address: int) -> list[int]:
    """Return the places of the tree node with that logical address."""
    named = struct.pack("<Q", address)
    places = range(MIB, SIZE, 4096)
    return [place for place in places if volume[place + 0x30 : place + 0x38] == named]


def test_both_copies_of_a_node_and_every_file_are_used(volume: bytes) -> None:
    used = btrfs.used(reader(volume), SIZE)
    places = nodes(volume, root_of(volume))
    assert len(places) == 2
    for place in places:
        assert total(clipped(used, Extent(place, NODE))) == NODE
    unused = bytearray(volume)
    for extent in used:
        unused[extent.offset : extent.end] = bytes(extent.length)
    assert b"\xa5" * 4096 not in unused


def test_the_superblocks_and_what_lies_behind_the_file_system_are_used(volume: bytes) -> None:
    used = btrfs.used(reader(volume), SIZE + 5 * MIB)
    for wanted in (Extent(SUPERBLOCK, 4096), Extent(64 * MIB, 4096), Extent(SIZE, 5 * MIB)):
        assert total(clipped(used, wanted)) == wanted.length


LOG = "its log tree holds changes that are not in the file system yet: mount it once and unmount it"


def features(*unknown: int) -> str:
    return (
        "it has features that the map is not known to cover (compat_ro {:#x}, incompat {:#x}, "
        "flags {:#x})".format(*unknown)
    )


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0x40, 0, "its superblock is not at the usual place"),
        (0x88, 2, "it spans 2 devices"),
        (0x60, 4096, LOG),
        (0xB4, 0x10, features(0x10, 0, 0)),
        (0xBC, 0x2000, features(0, 0x2000, 0)),
        (0x38, 1 << 35, features(0, 0, 1 << 35)),
        (0x30, 0, "its superblock is damaged"),
        (0x94, 3, "its superblock is damaged"),
    ],
)
def test_what_is_not_understood_is_refused(
    volume: bytes, offset: int, value: int, reason: str
) -> None:
    assert refusal(changed(volume, SUPERBLOCK + offset, value.to_bytes(8, "little"))) == reason


def test_a_sum_that_is_not_the_file_systems_own_is_refused(volume: bytes) -> None:
    (bytes_used,) = struct.unpack_from("<Q", volume, SUPERBLOCK + 0x78)
    raw = changed(volume, SUPERBLOCK + 0x78, struct.pack("<Q", bytes_used + 4096))
    assert refusal(raw) == (
        f"{bytes_used} bytes are allocated in it, its superblock says {bytes_used + 4096}"
    )


def test_a_file_system_that_was_cut_off_is_refused(volume: bytes) -> None:
    assert refusal(volume, 100 * MIB) == f"it has {SIZE} bytes, the partition {100 * MIB}"


def test_a_node_is_read_from_its_other_copy(volume: bytes) -> None:
    address = root_of(volume)
    copies = nodes(volume, address)
    one = changed(volume, copies[0], bytes(4096))
    assert btrfs.used(reader(one), SIZE) == btrfs.used(reader(volume), SIZE)
    both = changed(one, copies[1], bytes(4096))
    assert refusal(both) == f"its tree node at {address} is damaged"


@given(data=st.data())
def test_damage_never_raises_anything_else(volume: bytes, data: st.DataObject) -> None:
    fsid = volume[SUPERBLOCK + 0x20 : SUPERBLOCK + 0x30]
    places = [p for p in range(0, SIZE, 4096) if volume[p + 0x20 : p + 0x30] == fsid]
    place = data.draw(st.sampled_from(places)) + data.draw(st.integers(0, 4095))
    value = data.draw(st.integers(0, 255))

    def damaged(offset: int, length: int) -> bytes:
        raw = bytearray(reader(volume)(offset, length))
        if offset <= place < offset + length:
            raw[place - offset] = value
        return bytes(raw)

    with suppress(MapRefusedError):
        btrfs.used(damaged, SIZE)
