"""Whether images are whole where they lie, and what follows where one is not."""

from pathlib import Path

import pytest

from agent.imaging import manifest as manifest_format
from agent.imaging.chunk import pack
from agent.imaging.extent import Extent
from providers.imaging.store import ChunkStore
from providers.imaging.verification import (
    place_on_disk,
    take_out_of_use,
    verify_images,
)
from tests.unit.imaging_images import MIB, ignore
from tests.unit.stored_images import an_image, chunks_of, store_image

AT = "2026-11-21T12:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    return ChunkStore(tmp_path / "store", reserve=0)


def test_undamaged_images_are_read_once_and_their_progress_is_told(
    store: ChunkStore, tmp_path: Path
) -> None:
    images = [store_image(store, tmp_path, number) for number in (1, 2)]
    told: list[tuple[int, int]] = []
    found = verify_images(store, images, lambda done, total: told.append((done, total)))
    assert (found.images, found.chunks, found.size, found.damages) == (2, 7, 7 * MIB, ())
    assert told == [(number * MIB, 7 * MIB) for number in range(1, 8)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "it is missing"),
        (b"", "it is corrupt: no zstd frame"),
        (pack(b"other"), "it is corrupt: its content has the digest"),
    ],
)
def test_a_damaged_chunk_is_named_with_its_image_its_place_and_what_lies_there(
    store: ChunkStore, tmp_path: Path, content: bytes | None, said: str
) -> None:
    damaged, whole = (store_image(store, tmp_path, number, f"name-{number}") for number in (1, 2))
    (own,) = set(chunks_of(store, damaged)) - set(chunks_of(store, whole))
    path = store.path(own)
    path.unlink() if content is None else path.write_bytes(content)
    (damage,) = verify_images(store, [damaged, whole], ignore).damages
    assert (damage.image, damage.chunk) == (damaged, own)
    assert (damage.offset, damage.length, damage.place) == (5 * MIB, MIB, "partition 1, ext4")
    assert said in damage.problem
    assert damage.line.startswith(
        f"chunk {own[:12]}, bytes 5,242,880 to 6,291,456 (partition 1, ext4): {said}"
    )


def test_every_image_that_needs_a_damaged_chunk_is_restored_no_more_and_no_other(
    store: ChunkStore, tmp_path: Path
) -> None:
    first, second = (store_image(store, tmp_path, number) for number in (1, 2))
    (own,) = set(chunks_of(store, first)) - set(chunks_of(store, second))
    shared = chunks_of(store, first)[0]
    store.path(own).write_bytes(b"rot")
    found = verify_images(store, [first], ignore)
    take_out_of_use(store, found.damages, AT)
    assert (store.usable(first), store.usable(second)) == (False, True)
    assert store.missing([own, shared]) == {own}
    store.path(shared).write_bytes(b"rot")
    found = verify_images(store, [first], ignore)
    assert {each.image for each in found.damages} == {first, second}
    take_out_of_use(store, found.damages, AT)
    assert not store.usable(second)
    outcome = store.restore_test(second)
    assert outcome is not None
    assert outcome.at == AT
    assert outcome.details[0] == "damaged in the store"
    assert outcome.details[1].startswith(
        f"chunk {shared[:12]}, bytes 0 to 1,048,576 (partition table): it is corrupt"
    )


def test_the_next_backup_brings_a_chunk_back_that_was_set_aside(
    store: ChunkStore, tmp_path: Path
) -> None:
    digest = store_image(store, tmp_path, 1)
    chunk = chunks_of(store, digest)[3]
    store.path(chunk).write_bytes(b"rot")
    take_out_of_use(store, verify_images(store, [digest], ignore).damages, AT)
    assert store_image(store, tmp_path, 1, test=None) == digest
    assert verify_images(store, [digest], ignore).damages == ()
    assert not store.usable(digest)  # until a restore test has passed


def test_a_manifest_that_is_another_one_is_damage(store: ChunkStore, tmp_path: Path) -> None:
    digest = store_image(store, tmp_path, 1)
    another = manifest_format.encode(an_image(tmp_path, 2)[0])
    store.manifest_path(digest).write_bytes(another)
    (damage,) = verify_images(store, [digest], ignore).damages
    assert damage.line == ("manifest: not an image manifest: its content has another digest")
    take_out_of_use(store, [damage], AT)
    assert not store.usable(digest)


def test_many_damages_are_kept_short_in_the_record(store: ChunkStore, tmp_path: Path) -> None:
    digest = store_image(store, tmp_path, 1)
    damages = verify_images(store, [digest], ignore).damages
    store.path(chunks_of(store, digest)[0]).unlink()
    damages = verify_images(store, [digest], ignore).damages * 25
    take_out_of_use(store, damages, AT)
    outcome = store.restore_test(digest)
    assert outcome is not None
    assert len(outcome.details) == 22
    assert outcome.details[-1] == "and 5 more"


def test_places_outside_partitions_are_called_so(tmp_path: Path) -> None:
    manifest, _ = an_image(tmp_path, 1)
    assert place_on_disk(manifest, Extent(512 * 100, 512)) == "outside partitions"
    assert place_on_disk(manifest, Extent(MIB - 512, 1024)) == "partition 1, ext4"
    assert place_on_disk(manifest, Extent(0, 2 * MIB)) == "partition table; partition 1, ext4"
