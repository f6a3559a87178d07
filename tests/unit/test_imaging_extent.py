"""Extent arithmetic against sets of byte numbers."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.imaging.extent import Extent, aligned, clipped, holes, merged, total, without

extent = st.builds(Extent, st.integers(0, 60), st.integers(0, 20))
extents = st.lists(extent, max_size=8)


def content(found: object) -> set[int]:
    return {byte for part in found for byte in range(part.offset, part.end)}  # type: ignore[attr-defined]


@given(extents)
def test_merged_extents_hold_the_same_bytes_sorted_and_apart(parts: list[Extent]) -> None:
    result = merged(parts)
    assert content(result) == content(parts)
    assert total(result) == len(content(parts))
    assert all(a.end < b.offset for a, b in itertools.pairwise(result))


@given(extents, extent)
def test_holes_and_clipped_parts_share_the_window(parts: list[Extent], window: Extent) -> None:
    inside, free = list(clipped(merged(parts), window)), list(holes(merged(parts), window))
    assert content(inside) == content(parts) & content([window])
    assert content(free) == content([window]) - content(parts)
    assert all(part.length > 0 for part in (*inside, *free))


@given(extents, extents)
def test_without_is_the_difference(parts: list[Extent], removed: list[Extent]) -> None:
    assert content(without(merged(parts), merged(removed))) == content(parts) - content(removed)


@given(extents, st.sampled_from([1, 4, 8]))
def test_aligned_grows_to_whole_units_and_stops_at_the_limit(
    parts: list[Extent], unit: int
) -> None:
    result = aligned(parts, unit, 80)
    expected = {byte // unit * unit + k for byte in content(parts) for k in range(unit)}
    assert content(result) == {byte for byte in expected if byte < 80}
    assert all(part.offset % unit == 0 for part in result)
