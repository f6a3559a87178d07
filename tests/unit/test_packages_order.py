"""In which order packages are installed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TerminalError
from agent.packages.order import in_order
from agent.wire.package import TYPES
from tests.unit.packages_world import package


def names(packages):
    return [item.name for item in packages]


def test_service_packs_hotfixes_patches_then_applications():
    wanted = [
        package(kind, type=kind) for kind in ("application", "patch", "service-pack", "hotfix")
    ]
    assert names(in_order(wanted)) == ["service-pack", "hotfix", "patch", "application"]


def test_what_a_patch_requires_comes_before_it_and_before_other_patches_after():
    wanted = [
        package("office"),
        package("patch-1", type="patch"),
        package("patch-2", type="patch", requires=("runtime",)),
        package("patch-3", type="patch"),
        package("runtime", requires=("base",)),
        package("base"),
    ]
    assert names(in_order(wanted)) == ["patch-1", "base", "runtime", "patch-2", "patch-3", "office"]


def test_a_circle_is_refused_and_named():
    wanted = [
        package("a", requires=("b",)),
        package("b", requires=("c",)),
        package("c", requires=("a",)),
    ]
    with pytest.raises(TerminalError) as refused:
        in_order(wanted)
    assert refused.value.code == "RW200"
    named = refused.value.cause.partition("circle: ")[2].split(" -> ")
    assert sorted(named[1:]) == ["a", "b", "c"]
    requires = {item.name: item.requires for item in wanted}
    assert all(after in requires[name] for name, after in pairwise(named))


def test_a_package_that_requires_itself_is_a_circle():
    with pytest.raises(TerminalError, match=r"RW200: packages require .* in a circle: a -> a"):
        in_order([package("a", requires=("a",))])


def test_two_of_one_name_are_refused():
    with pytest.raises(TerminalError, match="RW201: two of the packages are called a"):
        in_order([package("a"), package("b"), package("a", type="patch")])


@given(st.data())
def test_requirements_come_first_and_types_are_in_order_where_nothing_else_decides(data):
    number = data.draw(st.integers(1, 12))
    wanted = [
        package(
            f"p{index}",
            type=data.draw(st.sampled_from(TYPES)),
            requires=tuple(
                f"p{other}" for other in range(index) if data.draw(st.integers(0, 4)) == 0
            ),
        )
        for index in range(number)
    ]
    shuffled = data.draw(st.permutations(wanted))
    order = in_order(shuffled)
    places = {item.name: place for place, item in enumerate(order)}
    assert sorted(places) == sorted(item.name for item in wanted)
    for item in order:
        assert all(places[name] < places[item.name] for name in item.requires)
    required = {name for item in wanted for name in item.requires}
    free = [item for item in order if item.name not in required and not item.requires]
    ranks = [(TYPES.index(item.type), shuffled.index(item)) for item in free]
    assert ranks == sorted(ranks)
