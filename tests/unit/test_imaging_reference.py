"""Which image a person means."""

from pathlib import Path

import pytest

from agent.errors import CodedError
from providers.imaging.errors import AmbiguousImageError
from providers.imaging.reference import FoundImage, find_image
from providers.imaging.store import ChunkStore
from tests.unit.stored_images import store_image


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    return ChunkStore(tmp_path / "store", reserve=0)


def test_names_generations_and_digits_lead_to_an_image(store: ChunkStore, tmp_path: Path) -> None:
    first, second = (store_image(store, tmp_path, number, "rack/golden") for number in (1, 2))
    assert find_image(store, "rack/golden") == FoundImage(second, "rack/golden")
    assert find_image(store, "rack/golden~0") == FoundImage(second, "rack/golden")
    assert find_image(store, "rack/golden~1") == FoundImage(first, "rack/golden")
    assert find_image(store, first) == FoundImage(first, "")
    assert find_image(store, first[:8]) == FoundImage(first, "")


def test_an_image_that_a_name_came_back_to_is_one_generation(
    store: ChunkStore, tmp_path: Path
) -> None:
    first, second = (store_image(store, tmp_path, number, "golden") for number in (1, 2))
    store.names.tag("golden", first)
    assert find_image(store, "golden").digest == first
    assert find_image(store, "golden~1").digest == second
    with pytest.raises(CodedError, match="golden has 2 generation"):
        find_image(store, "golden~2")


def test_for_nothing_no_name_is_suggested(store: ChunkStore, tmp_path: Path) -> None:
    store_image(store, tmp_path, 1, "A")
    with pytest.raises(CodedError) as caught:
        find_image(store, "")
    assert str(caught.value) == (
        "RW434: there is no image ''. List the images with `rackwright image ls`."
    )


def test_a_name_that_is_too_long_is_told_the_limit(store: ChunkStore, tmp_path: Path) -> None:
    digest = store_image(store, tmp_path, 1)
    store.names.tag("a" * 120, digest)
    assert find_image(store, "a" * 120).digest == digest
    with pytest.raises(CodedError) as caught:
        store.names.tag("a" * 121, digest)
    assert str(caught.value) == (
        f"RW435: '{'a' * 121}' cannot be the name of an image: it has 121 characters. Use 120 "
        "characters or fewer."
    )


def test_a_name_goes_before_the_digits_of_a_digest(store: ChunkStore, tmp_path: Path) -> None:
    first, second = (store_image(store, tmp_path, number) for number in (1, 2))
    store.names.tag(first[:8], second)
    assert find_image(store, first[:8]).digest == second
    assert find_image(store, first[:9]).digest == first


def test_digits_that_several_digests_begin_with_name_none(
    store: ChunkStore, tmp_path: Path
) -> None:
    digest = store_image(store, tmp_path, 1)
    twin = digest[:12] + "f" * 52
    store.manifest_path(twin).parent.mkdir()
    with pytest.raises(AmbiguousImageError) as caught:
        find_image(store, digest[:10])
    first, second = sorted((digest, twin))
    assert str(caught.value) == (
        f"RW437: 2 images have a digest that begins with {digest[:10]}: {first[:16]}…, "
        f"{second[:16]}…. Give more digits."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("goldne", "RW434: there is no image goldne. Perhaps golden is meant. List the images"),
        ("goldne~1", "RW434: there is no image goldne~1. Perhaps golden is meant. List"),
        ("completely-else", "RW434: there is no image completely-else. List the images"),
        ("abc123", "RW434: there is no image abc123. Of a digest, give 8 digits or more. List"),
        ("ABCDEF0123", "there is no image ABCDEF0123. Digests are written in lower case: abcdef01"),
        ("../../etc/passwd", "RW434: there is no image ../../etc/passwd. List the images"),
        ("", "RW434: there is no image ''. List the images"),
        (
            "golden~1",
            "RW438: there is no golden~1: golden has 1 generation(s), the oldest is golden",
        ),
        ("golden~x", "RW434: there is no image golden~x"),
    ],
)
def test_what_names_no_image_ends_with_a_hint(
    store: ChunkStore, tmp_path: Path, text: str, said: str
) -> None:
    store_image(store, tmp_path, 1, "golden")
    with pytest.raises(CodedError) as caught:
        find_image(store, text)
    assert said in str(caught.value)
