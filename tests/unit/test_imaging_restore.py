"""The restore engine on regular files, with images built by hand."""

from pathlib import Path

import attrs
import pytest
from builders.drift import verify

from agent.errors import TransientError
from agent.imaging.boot_block import boot_extents
from agent.imaging.chunk import digest_of, pack
from agent.imaging.device import Device
from agent.imaging.errors import (
    CorruptChunkError,
    ManifestError,
    ReadBackError,
    RefusedDiskError,
)
from agent.imaging.extent import Extent
from agent.imaging.fit import Fit, fit
from agent.imaging.manifest import Manifest
from agent.imaging.restore import RestoreResult, restore
from tests.unit.imaging_images import (
    MIB,
    MemoryStore,
    blank_file,
    described,
    ignore,
    image_of,
    random_file,
    small_gpt_image,
    write_gpt,
)


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, Manifest, MemoryStore]:
    return small_gpt_image(tmp_path)


def used_bytes(path: Path, manifest: Manifest) -> list[bytes]:
    raw = path.read_bytes()
    return [raw[extent.offset : extent.end] for extent in manifest.used]


def can_boot(path: Path, sector_size: int = 512) -> bool:
    """Whether firmware would find a boot sector, a GPT or a backup GPT to repair one from."""
    raw = path.read_bytes()
    return (
        raw[510:512] == b"\x55\xaa"
        or raw[sector_size:].startswith(b"EFI PART")
        or raw[-sector_size:].startswith(b"EFI PART")
    )


def run(manifest: Manifest, path: Path, store: MemoryStore) -> RestoreResult:
    return restore(manifest, described(path), store, ignore)


def test_a_blank_disk_gets_the_used_blocks_and_a_second_restore_writes_nothing(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    captured, manifest, store = image
    target = blank_file(tmp_path / "target", manifest.disk_size)
    first = run(manifest, target, store)
    assert used_bytes(target, manifest) == used_bytes(captured, manifest)
    assert first.chunks_total == first.chunks_written == len(store.gets) == 6
    assert first.bytes_fetched == sum(len(store.frames[digest]) for digest in store.gets)
    assert verify(manifest, str(target)) == []
    store.gets.clear()
    second = run(manifest, target, store)
    assert (second.chunks_written, second.bytes_written, second.bytes_fetched) == (0, 0, 0)
    assert store.gets == []
    assert used_bytes(target, manifest) == used_bytes(captured, manifest)


def test_unused_bytes_outside_the_boot_block_are_left_alone(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    target = random_file(tmp_path / "target", manifest.disk_size)
    before = target.read_bytes()
    run(manifest, target, store)
    after = bytearray(target.read_bytes())
    for extent in manifest.used:
        after[extent.offset : extent.end] = before[extent.offset : extent.end]
    assert bytes(after) == before


def test_only_what_differs_is_fetched(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    captured, manifest, store = image
    target = tmp_path / "target"
    target.write_bytes(captured.read_bytes())
    with target.open("r+b") as file:
        file.seek(4 * MIB + 7)
        file.write(b"drift")
        file.seek(3 * MIB)
        file.write(b"an unused byte is no drift")
    drifted = verify(manifest, str(target))
    assert [chunk.span.offset for chunk in drifted] == [4 * MIB]
    result = run(manifest, target, store)
    assert (result.chunks_written, result.bytes_written) == (1, 4096)
    assert store.gets == [drifted[0].digest]
    assert verify(manifest, str(target)) == []


@pytest.mark.parametrize("grown", [512, 20 * 512, MIB, 5 * MIB])
def test_on_a_larger_disk_only_the_table_differs_and_the_rest_is_untouched(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore], grown: int
) -> None:
    captured, manifest, store = image
    size = manifest.disk_size + grown
    target = random_file(tmp_path / "target", size)
    before = target.read_bytes()
    assert run(manifest, target, store).table_moved
    assert verify(manifest, str(target)) == []
    after, image_bytes = target.read_bytes(), captured.read_bytes()
    backup = size - 33 * 512
    for extent in manifest.used:
        start, end = max(extent.offset, 1024), min(extent.end, backup)
        assert after[start:end] == image_bytes[start:end]
    assert after[manifest.disk_size : backup] == before[manifest.disk_size : backup]
    assert after[size - 512 :].startswith(b"EFI PART")
    store.gets.clear()
    assert run(manifest, target, store).chunks_written == 0
    assert store.gets == []


def test_a_damaged_moved_table_is_drift_and_gets_repaired(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    target = blank_file(tmp_path / "target", manifest.disk_size + 2 * MIB)
    run(manifest, target, store)
    for offset in (target.stat().st_size - 500, 512 + 40):
        with target.open("r+b") as file:
            file.seek(offset)
            file.write(b"XX")
        assert len(verify(manifest, str(target))) == 1
        run(manifest, target, store)
        assert verify(manifest, str(target)) == []


class Cut(Exception):  # noqa: N818 - stands for a machine that loses power
    """The machine is gone."""


class FailingStore(MemoryStore):
    """Delivers some chunks and then loses the connection."""

    def __init__(self, inner: MemoryStore, good: int) -> None:
        super().__init__()
        self.frames = inner.frames
        self._good = good

    def get(self, digest: str, *, checked: bool = False) -> bytes:
        if len(self.gets) >= self._good:
            raise TransientError("RW500", "the server does not answer", "Wait")
        return super().get(digest, checked=checked)


@pytest.mark.parametrize("good", [2, 3, 5])
def test_a_cut_restore_leaves_an_unbootable_disk_and_the_next_one_finishes(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore], good: int
) -> None:
    captured, manifest, store = image
    target = random_file(tmp_path / "target", manifest.disk_size)
    write_gpt(target, manifest.disk_size, [(2048, 9000)])  # an old system that boots
    assert can_boot(target)
    with pytest.raises(TransientError):
        run(manifest, target, FailingStore(store, good))
    assert not can_boot(target)
    assert run(manifest, target, store).chunks_written <= 6
    assert used_bytes(target, manifest) == used_bytes(captured, manifest)


@pytest.mark.parametrize("size_added", [0, 4 * MIB])
@pytest.mark.parametrize("pre_filled", [False, True])
def test_a_cut_at_any_write_leaves_an_unbootable_disk_and_the_next_one_finishes(
    tmp_path: Path,
    image: tuple[Path, Manifest, MemoryStore],
    monkeypatch: pytest.MonkeyPatch,
    *,
    pre_filled: bool,
    size_added: int,
) -> None:
    """The old system is the image's own: whole, it boots; half of it must not."""
    captured, manifest, store = image
    size = manifest.disk_size + size_added
    original = Device.write
    target = tmp_path / "target"
    written = [0, 0]  # writes done, and after how many the power fails

    def write(self: Device, view: memoryview, offset: int) -> None:
        if written[0] == written[1]:
            raise Cut
        written[0] += 1
        original(self, view, offset)

    monkeypatch.setattr(Device, "write", write)
    finished = False
    while not finished:
        blank_file(target, size)
        with target.open("r+b") as file:
            file.write(captured.read_bytes())
            if pre_filled:
                file.seek(4 * MIB)
                file.write(b"drift")
        write_gpt(target, size, [(2048, size // 512 - 2049)])
        written[0] = 0
        try:
            run(manifest, target, store)
            finished = True
        except Cut:
            # Writes 0 and 1 take the backup and the primary away, in this order.
            if written[1] >= 2:
                raw = target.read_bytes()
                assert raw[510:512] != b"\x55\xaa", f"bootable after {written[1]} writes"
            written[0], limit = 0, written[1]
            written[1] = 10**9
            run(manifest, target, store)
            written[1] = limit + 1
        assert verify(manifest, str(target)) == []
    assert written[1] >= 5


def test_nothing_of_the_old_table_comes_back_before_the_last_step(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest, store = image
    target = random_file(tmp_path / "target", manifest.disk_size)
    write_gpt(target, manifest.disk_size, [(2048, 9000)])

    def stop(*_: object) -> None:
        assert not can_boot(target)
        raise Cut

    monkeypatch.setattr("agent.imaging.restore.commit", stop)
    with pytest.raises(Cut):
        run(manifest, target, store)
    assert not can_boot(target)


def test_the_boot_sector_is_the_last_thing_written(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest, store = image
    target = blank_file(tmp_path / "target", manifest.disk_size)
    writes: list[tuple[int, int]] = []
    original = Device.write

    def write(self: Device, view: memoryview, offset: int) -> None:
        writes.append((offset, len(view)))
        original(self, view, offset)

    monkeypatch.setattr(Device, "write", write)
    run(manifest, target, store)
    assert writes[:2] == [(manifest.disk_size - 512, 512), (0, MIB)]
    assert writes[-1] == (0, 512)


def test_an_old_backup_gpt_is_taken_away_even_where_the_image_has_no_gpt(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    _, gpt_image, store = small_gpt_image(tmp_path / "image")
    plain = attrs.evolve(
        gpt_image,
        table="none",
        regions=gpt_image.regions[:1],
        used=(Extent(0, MIB),),
        digests=gpt_image.digests[:32],
    )
    target = random_file(tmp_path / "target", gpt_image.disk_size)
    write_gpt(target, gpt_image.disk_size, [(2048, 9000)])
    run(plain, target, store)
    assert target.read_bytes()[-512:] == bytes(512)


def test_a_corrupt_chunk_stops_the_restore_with_its_name_and_place_and_the_disk_cannot_boot(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    chunk = list(manifest.chunks())[3]
    for frame in (b"", store.frames[chunk.digest][:-3], pack(b"other"), b"garbage"):
        target = random_file(tmp_path / "target", manifest.disk_size)
        bad = MemoryStore()
        bad.frames = {**store.frames, chunk.digest: frame}
        with pytest.raises(CorruptChunkError) as caught:
            run(manifest, target, bad)
        place = f"for disk offset {chunk.span.offset:,}"
        assert f"chunk {chunk.digest} {place} is corrupt: " in str(caught.value)
        assert not can_boot(target)


def test_a_chunk_that_came_corrupt_is_asked_for_once_more(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    asked: list[str] = []

    class Flaky(MemoryStore):
        """Sends every chunk wrong unless it is to look first."""

        def get(self, digest: str, *, checked: bool = False) -> bytes:
            if checked:
                asked.append(digest)
                return store.frames[digest]
            return store.frames[digest][:-1]

    target, right = (
        blank_file(tmp_path / name, manifest.disk_size) for name in ("target", "right")
    )
    done = run(manifest, target, Flaky())
    run(manifest, right, store)
    assert target.read_bytes() == right.read_bytes()
    assert done.bytes_fetched == sum(len(store.frames[each]) for each in asked)


def test_a_chunk_of_another_size_is_corrupt(tmp_path: Path) -> None:
    _, manifest, store = small_gpt_image(tmp_path)
    short = digest_of(b"short")
    store.frames[short] = pack(b"short")
    digests = bytearray(manifest.digests)
    digests[96:128] = bytes.fromhex(short)
    with pytest.raises(CorruptChunkError, match="it has 5 bytes, its place 1048576"):
        run(
            attrs.evolve(manifest, digests=bytes(digests)),
            blank_file(tmp_path / "target", manifest.disk_size),
            store,
        )


def test_a_missing_boot_block_is_found_out_before_the_first_write(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    target = random_file(tmp_path / "target", manifest.disk_size)
    before = target.read_bytes()
    with pytest.raises(TransientError):
        run(manifest, target, FailingStore(store, 0))
    assert target.read_bytes() == before


def test_a_manifest_whose_table_is_not_in_its_chunks_is_refused_before_the_first_write(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    boot = attrs.evolve(manifest.regions[0], raw=bytes(510) + b"\x55\xaa")
    target = random_file(tmp_path / "target", manifest.disk_size)
    before = target.read_bytes()
    with pytest.raises(ManifestError, match="region boot-sector at 0 is not what its chunk holds"):
        run(attrs.evolve(manifest, regions=(boot, *manifest.regions[1:])), target, store)
    assert target.read_bytes() == before


def test_refusals_come_before_the_first_write(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    target = random_file(tmp_path / "target", manifest.disk_size - 512)
    before = target.read_bytes()
    disk = described(target)
    for wrong, code in (
        (disk, "RW412"),
        (attrs.evolve(disk, sector_size=4096), "RW414"),  # 4096 does not divide the size
        (described(target, size=1), "RW414"),
        (attrs.evolve(disk, read_only=True), "RW411"),
        (attrs.evolve(disk, node=str(tmp_path / "absent")), "RW415"),
        (attrs.evolve(disk, node=str(tmp_path)), "RW415"),
    ):
        with pytest.raises(RefusedDiskError) as caught:
            restore(manifest, wrong, store, ignore)
        assert caught.value.code == code
    assert target.read_bytes() == before
    assert store.gets == []


def test_another_sector_size_is_refused(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    target = blank_file(tmp_path / "target", manifest.disk_size)
    with pytest.raises(RefusedDiskError, match="RW413"):
        restore(manifest, described(target, sector_size=4096), store, ignore)


def test_a_disk_that_loses_writes_is_found_out_and_left_unbootable(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest, store = image
    target = random_file(tmp_path / "target", manifest.disk_size)
    original = Device.write

    def write(self: Device, view: memoryview, offset: int) -> None:
        if offset != 4 * MIB:
            original(self, view, offset)

    monkeypatch.setattr(Device, "write", write)
    chunk = next(chunk for chunk in manifest.chunks() if chunk.span.offset == 4 * MIB)
    with pytest.raises(ReadBackError) as caught:
        run(manifest, target, store)
    assert f"does not hold chunk {chunk.digest} at offset {4 * MIB}" in str(caught.value)
    assert not can_boot(target)


def test_a_boot_block_that_does_not_stick_is_taken_away_again(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, manifest, store = image
    target = random_file(tmp_path / "target", manifest.disk_size)
    original = Device.write_bytes

    def write_bytes(self: Device, data: bytes, offset: int) -> None:
        broken = bytearray(data)
        if offset == 512:
            broken[9000] ^= 1
        original(self, bytes(broken), offset)

    monkeypatch.setattr(Device, "write_bytes", write_bytes)
    with pytest.raises(ReadBackError):
        run(manifest, target, store)
    assert not can_boot(target)


def test_progress_reaches_its_total_and_never_goes_back(
    tmp_path: Path, image: tuple[Path, Manifest, MemoryStore]
) -> None:
    _, manifest, store = image
    target = blank_file(tmp_path / "target", manifest.disk_size)
    seen: list[tuple[int, int]] = []
    restore(manifest, described(target), store, lambda *values: seen.append(values))
    assert seen == sorted(seen)
    assert seen[-1] == (2 * manifest.used_bytes, 2 * manifest.used_bytes)


def test_zero_chunks_are_written_without_a_transfer(tmp_path: Path) -> None:
    path = random_file(tmp_path / "captured", 4 * MIB)
    with path.open("r+b") as file:
        file.seek(MIB)
        file.write(bytes(MIB))
    store = MemoryStore()
    manifest = image_of(path, [Extent(0, 2 * MIB)], store)
    target = random_file(tmp_path / "target", 4 * MIB, seed=8)
    assert run(manifest, target, store).chunks_written == 2
    assert len(store.gets) == 1
    assert target.read_bytes()[MIB : 2 * MIB] == bytes(MIB)


def test_the_boot_block_is_the_first_mib_and_the_gpt_at_the_end(
    image: tuple[Path, Manifest, MemoryStore],
) -> None:
    _, manifest, _ = image
    size = manifest.disk_size
    assert boot_extents(manifest, size, Fit(), old_backup=False) == (
        Extent(0, MIB),
        Extent(size - 512, 512),
    )
    larger = size + 2 * MIB
    assert boot_extents(manifest, larger, fit(manifest, larger), old_backup=True) == (
        Extent(0, MIB),
        Extent(larger - 33 * 512, 33 * 512),
    )
    no_tail = attrs.evolve(manifest, used=(Extent(0, MIB),))
    assert boot_extents(no_tail, size, Fit(), old_backup=False) == (Extent(0, MIB),)
    assert boot_extents(no_tail, size, Fit(), old_backup=True)[1:] == (Extent(size - 512, 512),)
