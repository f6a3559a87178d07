"""Guessing what was meant."""

import pytest

from specs.diagnostics.nearest import NearestNames, distance


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("lab", "lab", 0),
        ("lab", "lba", 1),
        ("grup", "group", 1),
        ("network", "netwrok", 1),
        ("a", "abcd", 3),
        ("kitten", "sitting", 3),
        ("abc", "xyz", 3),
    ],
)
def test_distance_counts_edits_and_swaps(left: str, right: str, expected: int) -> None:
    assert distance(left, right, 3) == expected
    assert distance(right, left, 3) == expected


def test_a_distance_above_the_limit_is_the_limit_plus_one() -> None:
    assert distance("kitten", "sitting", 2) == 3
    assert distance("a", "abcdefgh", 2) == 3


def test_the_nearest_name_wins_and_ties_go_to_the_first_in_the_alphabet() -> None:
    nearest = NearestNames()
    assert nearest.find("netwrk", ["power", "network", "networks"]) == "network"
    assert nearest.find("lac", ["lab", "laa"]) == "laa"


def test_case_does_not_count() -> None:
    assert NearestNames().find("machine", ["Machine"]) == "Machine"


def test_nothing_is_guessed_when_nothing_is_near() -> None:
    assert NearestNames().find("x", ["network", "power"]) is None
    assert NearestNames().find("hardware", []) is None


def test_nothing_is_guessed_of_nothing() -> None:
    assert NearestNames().find("", ["a", "b"]) is None


def test_guessing_stops_when_the_budget_is_spent() -> None:
    nearest = NearestNames(budget=1)
    assert nearest.find("lac", ["lab"]) == "lab"
    assert nearest.find("lac", ["lab"]) is None
