import contextlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.chunk import (
    BLOCK,
    CHUNK_SIZE,
    MAX_FRAME_SIZE,
    ZERO_DIGEST,
    Span,
    count_spans,
    differing,
    digest_of,
    is_zero,
    mask,
    pack,
    spans,
    unpack,
)
from agent.imaging.errors import CorruptChunkError
from agent.imaging.extent import Extent, clipped, merged, total, without
from tests.unit.imaging_images import noise

MIB = CHUNK_SIZE
SIZE = 6 * MIB - 512
CONTENT = noise(1000) + bytes(3000)

used = st.lists(
    st.builds(
        lambda start, length: Extent(start * 512, min(length * 512, SIZE - start * 512)),
        st.integers(0, SIZE // 512 - 1),
        st.integers(1, 5000),
    ),
    max_size=6,
).map(merged)


@given(used)
def test_spans_cover_exactly_the_used_bytes_and_nothing_else(extents: tuple[Extent, ...]) -> None:
    found = list(spans(extents, SIZE))
    assert count_spans(extents) == len(found)
    rebuilt = [
        Extent(span.offset + part.offset, part.length) for span in found for part in span.ranges
    ]
    assert merged(rebuilt) == extents
    for span in found:
        assert span.offset % MIB == 0
        assert span.length == min(MIB, SIZE - span.offset)
        window = Extent(span.offset, span.length)
        assert sum(part.length for part in clipped(extents, window)) == span.used > 0


def test_the_last_chunk_ends_with_the_disk() -> None:
    assert list(spans([Extent(SIZE - 512, 512)], SIZE)) == [
        Span(5 * MIB, MIB - 512, (Extent(MIB - 1024, 512),))
    ]


def test_mask_zeroes_everything_unused() -> None:
    content = bytearray(b"x" * 20)
    mask(content, (Extent(3, 4), Extent(10, 5)))
    assert bytes(content) == b"\0" * 3 + b"xxxx" + b"\0" * 3 + b"xxxxx" + b"\0" * 5


def test_a_chunk_of_zeros_has_the_digest_of_zeros_and_one_bit_changes_it() -> None:
    zeros = bytearray(MIB)
    assert digest_of(zeros) == ZERO_DIGEST
    assert is_zero(zeros)
    zeros[-1] = 1
    assert digest_of(zeros) != ZERO_DIGEST
    assert not is_zero(zeros)


def test_digest_is_blake3() -> None:
    # The first test vector of the BLAKE3 reference implementation with input.
    assert digest_of(b"\0") == "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"


def test_packed_content_unpacks_to_itself() -> None:
    assert unpack(pack(CONTENT), digest_of(CONTENT)) == CONTENT


def test_the_largest_chunk_fits_the_largest_frame() -> None:
    assert len(pack(noise(MIB))) < MAX_FRAME_SIZE


FRAME = pack(CONTENT)
UNSIZED = zstandard.ZstdCompressor(write_content_size=False).compress(CONTENT)
HUGE = zstandard.ZstdCompressor().compress(bytes(MIB + 1))


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (b"", "no zstd frame"),
        (b"garbage, not a frame", "no zstd frame"),
        (FRAME[:-1], "no zstd frame"),
        (FRAME + b"x", "no zstd frame"),
        (FRAME + FRAME, "no zstd frame"),
        (UNSIZED, "states -1 content bytes"),
        (HUGE, "states 1,048,577 content bytes"),
        (pack(b""), "states 0 content bytes"),
        (bytes(MAX_FRAME_SIZE + 1), "a frame has at most"),
        (pack(CONTENT + b"x"), "its content has the digest"),
    ],
)
def test_a_frame_that_is_not_its_chunk_is_refused_by_name_and_place(
    frame: bytes, problem: str
) -> None:
    with pytest.raises(CorruptChunkError) as caught:
        unpack(frame, digest_of(CONTENT), 5 * MIB)
    assert str(caught.value).startswith(
        f"RW402: chunk {digest_of(CONTENT)} for disk offset 5,242,880 is corrupt: "
    )
    assert problem in caught.value.cause


@given(st.binary(max_size=200))
def test_garbage_frames_raise_one_error_type(data: bytes) -> None:
    with pytest.raises(CorruptChunkError):
        unpack(data, digest_of(CONTENT))


@given(st.integers(0, len(FRAME) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_yields_other_content(position: int, change: int) -> None:
    broken = bytearray(FRAME)
    broken[position] ^= change
    with contextlib.suppress(CorruptChunkError):
        assert unpack(bytes(broken), digest_of(CONTENT)) == CONTENT


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=6),
    st.sets(st.integers(0, 64 * 512 - 1), max_size=12),
)
def test_what_differs_is_found_and_little_else(
    places: list[tuple[int, int]], changes: set[int]
) -> None:
    ranges = merged(Extent(start * 512, length * 512) for start, length in places)
    one = bytes(64 * 512)
    other = bytearray(one)
    for place in changes:
        other[place] = 1
    found = differing(memoryview(one), memoryview(other), ranges)
    inside = {place for place in changes if any(clipped(ranges, Extent(place, 1)))}
    assert {place for place in changes if any(clipped(found, Extent(place, 1)))} == inside
    assert merged(found) == found
    assert not without(found, ranges)
    assert total(found) <= len(inside) * BLOCK
