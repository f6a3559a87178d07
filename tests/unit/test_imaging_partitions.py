"""Restores of single partitions, on regular files with images built by hand."""

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TransientError
from agent.imaging.device import Device
from agent.imaging.errors import RefusedDiskError
from agent.imaging.extent import Extent
from agent.imaging.manifest import ImagedPartition, Manifest
from agent.imaging.partition_choice import Choice, chosen_places
from agent.imaging.restore import RestoreResult, restore
from agent.imaging.table import Table, read_table
from agent.wire.imaged_layout import ImagedLayout, PartitionPlace, differences
from tests.unit.imaging_images import (
    LINUX,
    MIB,
    MemoryStore,
    described,
    ignore,
    image_of,
    noise,
    write_gpt,
)

SIZE = 12 * MIB
# The first begins and ends inside chunks, and shares them with the table and the second.
PLACES = [(1000, 5001), (5002, 14335), (14336, 22000)]
"""First and last sectors of the partitions."""


def extent_of(number: int) -> Extent:
    first, last = PLACES[number - 1]
    return Extent(first * 512, (last - first + 1) * 512)


def partition(number: int, method: str = "used-blocks") -> ImagedPartition:
    place = extent_of(number)
    uuid = f"00000000-0000-0000-0000-{number:012x}"
    kind = str(LINUX)
    return ImagedPartition(
        number, place.offset, place.length, kind, uuid, "ext4", "", method, reason=""
    )


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, Manifest, MemoryStore]:
    path, store = tmp_path / "captured", MemoryStore()
    path.write_bytes(noise(SIZE))
    write_gpt(path, SIZE, PLACES)
    used = []
    for number in (1, 2, 3):
        place = extent_of(number)
        used += [Extent(place.offset, MIB), Extent(place.end - 8192, 8192)]
    manifest = image_of(path, used, store, tuple(partition(number) for number in (1, 2, 3)))
    return path, manifest, store


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return a disk with the same partitions and other content."""
    path = tmp_path / "target"
    path.write_bytes(noise(SIZE, 7))
    write_gpt(path, SIZE, PLACES)
    return path


def run(
    manifest: Manifest, path: Path, store: MemoryStore, *numbers: int, grow: str = "none"
) -> RestoreResult:
    return restore(manifest, described(path), store, ignore, grow=grow, choice=Choice(numbers))


def part(data: bytes, extent: Extent) -> bytes:
    return data[extent.offset : extent.end]


@pytest.mark.parametrize("numbers", [(1,), (2,), (3,), (1, 3), (2, 3), (1, 2, 3)])
def test_chosen_partitions_are_the_images_and_all_else_stays(
    image: tuple[Path, Manifest, MemoryStore], target: Path, numbers: tuple[int, ...]
) -> None:
    captured, manifest, store = image
    before = target.read_bytes()
    result = run(manifest, target, store, *numbers)
    after, wanted = target.read_bytes(), bytearray(before)
    for number in numbers:
        head = Extent(extent_of(number).offset, MIB)
        wanted[head.offset : head.end] = bytes(head.length)  # unused bytes of it are zeros
        for used in manifest.used:
            first = max(used.offset, extent_of(number).offset)
            end = min(used.end, extent_of(number).end)
            if first < end:
                wanted[first:end] = captured.read_bytes()[first:end]
    assert after == bytes(wanted)
    assert result.partitions == tuple(map(str, numbers))
    again = run(manifest, target, store, *numbers)
    assert again.bytes_written == 0
    assert target.read_bytes() == after


def test_what_is_read_and_written_is_counted_for_the_chosen_partitions(
    image: tuple[Path, Manifest, MemoryStore], target: Path
) -> None:
    _, manifest, store = image
    seen: list[tuple[int, int]] = []
    restore(
        manifest,
        described(target),
        store,
        lambda done, whole: seen.append((done, whole)),
        choice=Choice((3,)),
    )
    place = extent_of(3)
    assert seen[-1] == (2 * (MIB + 8192), 2 * (MIB + 8192))
    chunks = {(place.offset + at) // MIB for at in (0, MIB - 1, place.length - 1)}
    assert len(store.gets) == len(chunks)


def test_an_interrupted_restore_leaves_no_file_system_and_goes_on(
    image: tuple[Path, Manifest, MemoryStore], target: Path
) -> None:
    captured, manifest, store = image
    before = target.read_bytes()
    frames = dict(store.frames)
    last = list(manifest.chunks())[-2].digest  # the end of partition 3
    fetched: list[str] = []

    class Away(MemoryStore):
        def get(self, digest: str, *, checked: bool = False) -> bytes:
            fetched.append(digest)
            if digest == last:
                raise TransientError("RW550", "the server is away", "Wait")
            return super().get(digest, checked=checked)

    away = Away()
    away.frames = frames
    with pytest.raises(TransientError):
        restore(manifest, described(target), away, ignore, choice=Choice((3,)))
    data = target.read_bytes()
    place = extent_of(3)
    assert not any(data[place.offset : place.offset + MIB])
    assert data[: place.offset] == before[: place.offset]
    run(manifest, target, store, 3)
    head = Extent(place.offset, MIB)
    assert part(target.read_bytes(), head) == part(captured.read_bytes(), head)


@pytest.mark.parametrize(
    ("places", "numbers", "words"),
    [
        (
            [(1000, 5001), (5002, 14335), (14336, 22001)],
            (3,),
            "partition 3 has 3,924,480 bytes in the image and has 3,924,992 bytes on the disk",
        ),
        (
            [(1000, 5001), (5002, 14334), (14335, 21999)],
            (3,),
            "partition 3 begins at byte 7,340,032 in the image and begins at byte 7,339,520 on",
        ),
        ([(1000, 5001), (5002, 14335)], (1, 3), "the disk has no partition 3, it has 1, 2"),
    ],
)
def test_a_disk_with_other_partitions_is_refused_before_a_byte_is_written(
    image: tuple[Path, Manifest, MemoryStore],
    target: Path,
    places: list[tuple[int, int]],
    numbers: tuple[int, ...],
    words: str,
) -> None:
    _, manifest, store = image
    write_gpt(target, SIZE, places)
    before = target.read_bytes()
    with pytest.raises(RefusedDiskError, match="RW419") as caught:
        run(manifest, target, store, *numbers)
    assert words in str(caught.value)
    assert target.read_bytes() == before
    assert store.gets == []


def test_a_disk_without_a_table_or_with_a_damaged_one_is_refused(
    image: tuple[Path, Manifest, MemoryStore], tmp_path: Path, target: Path
) -> None:
    _, manifest, store = image
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(SIZE))
    with pytest.raises(
        RefusedDiskError, match="the image has a GPT, the disk has no partition table"
    ):
        run(manifest, raw, store, 1)
    data = bytearray(target.read_bytes())
    data[600] ^= 1
    target.write_bytes(data)
    with pytest.raises(RefusedDiskError, match=r"the partition table of .* is damaged"):
        run(manifest, target, store, 1)
    assert target.read_bytes() == data


def test_a_partition_that_the_image_does_not_hold_is_refused(
    image: tuple[Path, Manifest, MemoryStore], target: Path
) -> None:
    _, manifest, store = image
    parts = (partition(1), partition(2, "omitted"), partition(3))
    omitting = attrs.evolve(manifest, partitions=parts)
    with pytest.raises(
        RefusedDiskError, match="does not hold partitions 2, 4; it holds 1, 3"
    ) as caught:
        run(omitting, target, store, 4, 2, 1)
    assert caught.value.code == "RW419"


@pytest.mark.parametrize("method", ["used-blocks", "full-sector", "omitted"])
def test_partitions_with_lvm_are_restored_together(
    image: tuple[Path, Manifest, MemoryStore], target: Path, method: str
) -> None:
    _, manifest, _ = image
    reason = "every sector was asked for" if method == "full-sector" else ""
    other = attrs.evolve(partition(2), filesystem="LVM2_member", method=method, reason=reason)
    parts = (attrs.evolve(partition(1), filesystem="LVM2_member"), other, partition(3))
    spread = attrs.evolve(manifest, partitions=parts)
    with pytest.raises(RefusedDiskError, match="the image has LVM on partitions 1, 2"):
        chosen_places(spread, "disk", on_disk(target), (1, 3))
    assert len(chosen_places(spread, "disk", on_disk(target), (3,))) == 1


def on_disk(path: Path) -> Table:
    raw = path.read_bytes()
    return read_table(lambda offset, length: raw[offset : offset + length], len(raw), 512)


def test_what_a_partition_is_recognised_by_is_written_after_all_else(
    image: tuple[Path, Manifest, MemoryStore], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured, manifest, store = image
    write, before = Device.write_bytes, target.read_bytes()
    labels = [Extent(at, 4096) for at in (0, 64 << 10)]

    class PowerCutError(Exception):
        pass

    def heads() -> list[tuple[bytes, bytes]]:
        """Return the heads of the partitions, as they are and as they will be."""
        now, then = target.read_bytes(), captured.read_bytes()
        places = [Extent(extent_of(number).offset, MIB) for number in (1, 2, 3)]
        return [(part(now, place), part(then, place)) for place in places]

    for last in range(100):
        target.write_bytes(before)
        left = last

        def cut(device: Device, data: bytes, offset: int) -> None:
            nonlocal left
            if not left:
                write(device, data[: len(data) // 2 // 512 * 512], offset)
                raise PowerCutError
            left -= 1
            write(device, data, offset)

        monkeypatch.setattr(Device, "write_bytes", cut)
        try:
            run(manifest, target, store, 1, 2, 3)
        except PowerCutError:
            if last < 3:  # the heads are being taken away
                continue
            for now, then in heads():
                if any(any(part(now, label)) for label in labels):
                    rest = [each for each in range(0, MIB, 4096) if each not in (0, 64 << 10)]
                    assert all(now[at : at + 4096] == then[at : at + 4096] for at in rest)
        else:
            assert last > 6
            break
    assert all(now == then for now, then in heads())


def test_a_smaller_disk_will_do_where_the_partition_is_the_same(
    image: tuple[Path, Manifest, MemoryStore], tmp_path: Path
) -> None:
    captured, manifest, store = image
    small = tmp_path / "small"
    size = extent_of(1).end + 40 * 512
    small.write_bytes(noise(size, 3))
    write_gpt(small, size, PLACES[:1])
    run(manifest, small, store, 1)
    head = Extent(extent_of(1).offset, MIB)
    assert part(small.read_bytes(), head) == part(captured.read_bytes(), head)


PLACE = st.builds(
    PartitionPlace,
    number=st.integers(1, 4),
    start=st.integers(0, 3),
    size=st.integers(1, 3),
    type=st.sampled_from(["0x83", "0X83", "0x07"]),
)
TABLE = st.lists(PLACE, max_size=4, unique_by=lambda place: place.number).map(tuple)


@given(TABLE, TABLE, st.sampled_from(["gpt", "mbr"]), st.sampled_from(["gpt", "mbr"]))
def test_there_is_no_difference_exactly_where_all_chosen_places_are_equal(
    mine: tuple[PartitionPlace, ...], its: tuple[PartitionPlace, ...], one: str, other: str
) -> None:
    numbers = [place.number for place in mine]
    layout = ImagedLayout(one, mine)

    def plain(places: tuple[PartitionPlace, ...]) -> set[tuple[int, int, int, str]]:
        return {(each.number, each.start, each.size, each.type.lower()) for each in places}

    same = one == other and plain(mine) <= plain(its)
    assert (differences(layout, numbers, other, its) == "") is same
