"""Bytes of an image by their offset, without a disk."""

from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.chunk import digest_of, pack
from agent.imaging.errors import CorruptChunkError, ManifestError
from agent.imaging.extent import Extent
from agent.imaging.manifest import LogicalVolume, Manifest, encode
from providers.imaging.errors import UnknownChunkError
from providers.imaging.image_layout import image_parts
from providers.imaging.image_reader import ExtentsReader, ImageReader, stored_manifest
from providers.imaging.store import ChunkStore
from tests.unit.imaging_images import MIB, MemoryStore, small_gpt_image

Small = tuple[bytes, Manifest, MemoryStore]
"""The disk with zeros where the image uses nothing, the image, its chunks."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    path, image, store = small_gpt_image(tmp_path_factory.mktemp("image"))
    raw = path.read_bytes()
    wanted = bytearray(len(raw))
    for extent in image.used:
        wanted[extent.offset : extent.end] = raw[extent.offset : extent.end]
    return bytes(wanted), image, store


@given(offset=st.integers(0, 8 * MIB + 10), length=st.integers(0, 3 * MIB))
def test_any_range_reads_as_the_disk_was_with_zeros_where_nothing_is_used(
    small: Small, offset: int, length: int
) -> None:
    wanted, image, store = small
    assert ImageReader(image, store).read(offset, length) == wanted[offset : offset + length]


@given(data=st.data())
def test_extents_read_as_one_in_their_own_order(small: Small, data: st.DataObject) -> None:
    wanted, image, store = small
    extents = [Extent(5 * MIB, MIB), Extent(MIB - 700, 1400), Extent(4 * MIB, MIB), Extent(0, 512)]
    joined = b"".join(wanted[each.offset : each.end] for each in extents)
    reader = ExtentsReader(ImageReader(image, store), extents)
    offset = data.draw(st.integers(0, len(joined) + 5))
    length = data.draw(st.integers(0, len(joined)))
    assert reader.size == len(joined)
    assert reader.read(offset, length) == joined[offset : offset + length]


def test_a_chunk_is_fetched_once_and_few_are_kept(small: Small) -> None:
    _, image, store = small
    store.gets.clear()
    reader = ImageReader(image, store, cache_chunks=2)
    for _ in range(3):
        reader.read(0, MIB)
        reader.read(MIB, MIB)
    assert len(store.gets) == 2
    reader.read(4 * MIB, MIB)  # the one that was not used for longest goes
    reader.read(MIB, MIB)
    assert len(store.gets) == 3
    reader.read(0, MIB)
    assert len(store.gets) == 4


def test_bytes_that_a_chunk_has_outside_of_what_is_used_are_never_shown(small: Small) -> None:
    _, image, store = small
    reader = ImageReader(image, store)
    odd = bytearray(reader.read(MIB, MIB))
    odd[0] = 7  # used begins at 4,096 there
    digest = digest_of(odd)
    index = 1
    digests = bytearray(image.digests)
    digests[index * 32 : index * 32 + 32] = bytes.fromhex(digest)
    store.frames[digest] = pack(odd)
    assert ImageReader(evolve(image, digests=bytes(digests)), store).read(MIB, 1) == b"\0"


def test_missing_and_corrupt_chunks_are_errors(small: Small, tmp_path: Path) -> None:
    _, image, store = small
    chunks = ChunkStore(tmp_path, reserve=0)
    first, second, *_ = (each.digest for each in image.chunks())
    chunks.put(first, store.frames[first])
    with pytest.raises(UnknownChunkError):
        ImageReader(image, chunks).read(MIB, 1)
    chunks.path(second).parent.mkdir(parents=True)
    chunks.path(second).write_bytes(store.frames[first])
    with pytest.raises(CorruptChunkError, match=second):
        ImageReader(image, chunks).read(MIB, 1)


def test_a_manifest_that_is_not_the_named_one_is_refused(small: Small, tmp_path: Path) -> None:
    _, image, store = small
    chunks = ChunkStore(tmp_path, reserve=0)
    for digest, frame in store.frames.items():
        chunks.put(digest, frame)
    digest = chunks.put_manifest(encode(image))
    assert stored_manifest(chunks, digest) == image
    other = evolve(image, table="none")
    chunks.manifest_path(digest).write_bytes(encode(other))
    with pytest.raises(ManifestError, match=digest):
        stored_manifest(chunks, digest)


def test_volumes_get_names_that_are_no_paths(small: Small) -> None:
    _, image, _ = small
    volumes = tuple(
        LogicalVolume(group, name, "", "ext4", "", "used-blocks", "", (Extent(0, 512),))
        for group, name in (("..", "/etc"), ("a", "b-c"), ("a-b", "c"))
    )
    parts = image_parts(evolve(image, volumes=volumes))[-3:]
    assert [each.name for each in parts] == ["..-%2Fetc", "a-b--c", "a--b-c"]
    assert [each.file for each in parts] == [f"volume-{each.name}.raw" for each in parts]
