"""Which F2FS is mapped: real ones of mkfs.f2fs and sload.f2fs, with one thing changed.

The tools write neither a journal nor the second place of a table's block; these are
moved by hand, and partclone's map is the second opinion.
"""

import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.commands.partclone import MapRefusedError
from agent.imaging import f2fs
from agent.imaging.extent import Extent, merged, total
from agent.imaging.table import Reader

MIB = 1 << 20
SIZE = 100 * MIB
BLOCK = 4096
MAGIC = 0xF2F52010
BITMAP = 192


def reader(raw: bytes | bytearray) -> Reader:
    return lambda offset, length: bytes(raw[offset : offset + length]).ljust(length, b"\0")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("f2fs")
    content = folder / "content"
    content.mkdir()
    for number in range(40):
        (content / f"file-{number}").write_bytes(b"%d " % number * 20_000)
    path = folder / "volume"
    with path.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.f2fs", "-q", path], check=True, capture_output=True)
    subprocess.run(["sload.f2fs", "-f", content, path], check=True, capture_output=True)
    return path.read_bytes()


def word(raw: bytes | bytearray, offset: int) -> int:
    return int.from_bytes(raw[offset : offset + 4], "little")


def checkpoint(raw: bytes | bytearray) -> int:
    """Return the block at which the checkpoint begins; the tools write one of the two."""
    return word(raw, 1024 + 76)


def rewritten(
    volume: bytes | bytearray, change: Callable[[bytearray], None], shift: int = 0
) -> bytearray:
    """Return the volume with both ends of its checkpoint changed, and valid checksums.

    ``shift`` is the number of blocks from the first place of checkpoints.
    """
    raw = bytearray(volume)
    start = checkpoint(raw) + shift
    for block in (start, start + word(raw, start * BLOCK + 136) - 1):
        place = block * BLOCK
        header = raw[place : place + BLOCK]
        change(header)
        end = word(header, 164)
        checksum = zlib.crc32(header[:end], MAGIC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
        struct.pack_into("<I", header, end, checksum)
        raw[place : place + BLOCK] = header
    return raw


def flagged(volume: bytes, flags: int) -> bytearray:
    return rewritten(volume, lambda header: struct.pack_into("<I", header, 132, flags))


def refusal(raw: bytes | bytearray, size: int = SIZE) -> str:
    with pytest.raises(MapRefusedError) as caught:
        f2fs.used(reader(raw), size)
    return str(caught.value)


def partclones(raw: bytes | bytearray, folder: Path) -> tuple[Extent, ...]:
    path = folder / "asked"
    path.write_bytes(raw)
    command = ["partclone.f2fs", "--domain", "--quiet", "--UI-fresh=0", "--offset_domain=0"]
    output = ["--output", "-", "--logfile", "/dev/null", "--source", str(path)]
    done = subprocess.run([*command, *output], check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    return merged(
        Extent(int(start, 16), int(length, 16))
        for start, length, state in (line for line in lines if len(line) == 3 and line[2] == "+")
        if state == "+"
    )


def test_the_map_is_that_of_partclone_and_what_lies_behind_the_last_segment(
    volume: bytes, tmp_path: Path
) -> None:
    used = f2fs.used(reader(volume), SIZE + 5 * MIB)
    inside = [extent for extent in used if extent.end <= SIZE]
    assert merged(inside) == partclones(volume, tmp_path)
    assert used[-1].end == SIZE + 5 * MIB
    assert total(used) < 60 * MIB


def test_a_volume_without_files_has_the_shortest_checkpoint_and_a_map(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    with path.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.f2fs", "-q", path], check=True, capture_output=True)
    raw = path.read_bytes()
    assert word(raw, checkpoint(raw) * BLOCK + 136) == 6
    assert merged(f2fs.used(reader(raw), SIZE)) == partclones(raw, tmp_path)


def moved_to_the_journal(volume: bytes) -> bytearray:
    raw = bytearray(volume)
    segments = [segment for segment in range(20) if entry(raw, segment)[1][2:66] != bytes(64)][:4]
    assert len(segments) == 4
    moved = b"".join(struct.pack("<I", segment) + entry(raw, segment)[1] for segment in segments)
    start = checkpoint(raw)
    summary = (start + word(raw, start * BLOCK + 136) - 5) * BLOCK + 3584
    raw[summary : summary + 2 + len(moved)] = struct.pack("<H", len(segments)) + moved
    for segment in segments:
        place, _ = entry(raw, segment)
        raw[place : place + 74] = bytes(74)
    return raw


def entry(raw: bytearray, segment: int) -> tuple[int, bytes]:
    place = word(raw, 1024 + 80) * BLOCK + segment // 55 * BLOCK + segment % 55 * 74
    return place, bytes(raw[place : place + 74])


def moved_to_the_other_place(volume: bytes) -> bytearray:
    def second(header: bytearray) -> None:
        header[BITMAP] |= 0x80

    raw = rewritten(volume, second)
    table = word(raw, 1024 + 80) * BLOCK
    copy = table + word(raw, 1024 + 56) // 2 * 512 * BLOCK
    raw[copy : copy + BLOCK] = raw[table : table + BLOCK]
    raw[table : table + BLOCK] = bytes(BLOCK)
    return raw


@pytest.mark.parametrize("move", [moved_to_the_journal, moved_to_the_other_place])
def test_entries_are_read_from_where_they_are_newest(
    volume: bytes, tmp_path: Path, move: Callable[[bytes], bytearray]
) -> None:
    moved = move(volume)
    assert moved != volume
    assert f2fs.used(reader(moved), SIZE) == f2fs.used(reader(volume), SIZE)
    assert partclones(moved, tmp_path) == partclones(volume, tmp_path)


def test_the_newer_checkpoint_counts_and_a_torn_one_does_not(volume: bytes) -> None:
    def newer_and_mounted(header: bytearray) -> None:
        (version,) = struct.unpack_from("<Q", header)
        struct.pack_into("<Q", header, 0, version + 1)
        struct.pack_into("<I", header, 132, 0x180)

    both, first = bytearray(volume), checkpoint(volume) * BLOCK
    second = first + 512 * BLOCK
    both[second : second + 16 * BLOCK] = volume[first : first + 16 * BLOCK]
    both = rewritten(both, newer_and_mounted, shift=512)
    assert refusal(both) == "it was not unmounted: mount it once and unmount it"
    both[second + 20] ^= 1
    assert f2fs.used(reader(both), SIZE) == f2fs.used(reader(volume), SIZE)
    both[first + 20] ^= 1
    assert refusal(both) == "neither of its checkpoints can be read"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (0x180, "it was not unmounted: mount it once and unmount it"),
        (0x191, "errors were found in it: run fsck.f2fs"),
        (0x1181, "its checkpoints are switched off, or it is being resized"),
    ],
)
def test_a_checkpoint_that_may_lack_something_is_refused(
    volume: bytes, flags: int, reason: str
) -> None:
    assert refusal(flagged(volume, flags)) == reason


def test_a_count_that_is_not_the_checkpoints_is_refused(volume: bytes) -> None:
    def miscounted(header: bytearray) -> None:
        struct.pack_into("<Q", header, 16, 5)

    assert refusal(rewritten(volume, miscounted)).endswith("its checkpoint says 5")


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, 1, "its superblock is not at the usual place"),
        (16, 14, "it has features that the map is not known to cover (0x0)"),
        (2180, 0x2, "it has features that the map is not known to cover (0x2)"),
        (2201, 0x2F, "it spans several devices"),
        (68, 1 << 20, "its superblock is damaged"),
    ],
)
def test_what_is_not_understood_is_refused(
    volume: bytes, offset: int, value: int, reason: str
) -> None:
    raw = bytearray(volume)
    struct.pack_into("<I", raw, 1024 + offset, value)
    assert refusal(raw) == reason


def test_a_file_system_that_was_cut_off_is_refused(volume: bytes) -> None:
    assert refusal(volume, 90 * MIB) == f"it has {SIZE} bytes, the partition {90 * MIB}"
