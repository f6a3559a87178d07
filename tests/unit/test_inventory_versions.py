"""Versions are compared as dpkg and rpm do, whom the tests ask."""

import subprocess
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.app.inventory import PackageQuery, parse_query
from reconciler.errors import ReconcilerError
from reconciler.planning.package_versions import compare, compare_rpm, rpmvercmp
from reconciler.state.inventory_search import Item

RPM = st.lists(st.text("019abzAZ.~^-_+", max_size=7), min_size=2, max_size=60)
DEB = st.from_regex(r"([0-2]:)?[0-9][0-9a-z.+~]{0,5}(-[0-9a-z.+~]{1,4})?", fullmatch=True)


def rpm_says(pairs: list[tuple[str, str]]) -> list[int]:
    """Return what rpm makes of two versions or two releases."""
    lines = "".join(f'print(rpm.vercmp("0:{a}", "0:{b}") .. " ")\n' for a, b in pairs)
    done = subprocess.run(
        ["rpm", "--eval", f"%{{lua:{lines}}}"], capture_output=True, text=True, check=True
    )
    return [int(each) for each in done.stdout.split()]


def dpkg_says(one: str, other: str) -> int:
    for sign, number in (("lt", -1), ("eq", 0), ("gt", 1)):
        if not subprocess.run(
            ["dpkg", "--compare-versions", one, sign, other], check=False
        ).returncode:
            return number
    raise AssertionError(f"dpkg cannot compare {one} and {other}")


@settings(max_examples=50, deadline=None)
@given(RPM)
def test_versions_of_rpm_are_compared_as_rpm_does(some: list[str]) -> None:
    versions = [each.replace("-", "") for each in some]
    pairs = list(pairwise(versions))
    assert [rpmvercmp(*pair) for pair in pairs] == rpm_says(pairs)


def test_what_rpm_documents_is_so() -> None:
    versions = [
        "1.0",
        "1.0~rc1",
        "1.0^git1",
        "1.0.1",
        "1.0a",
        "1.0.a",
        "1.00",
        "1.0^git1~x",
        "10",
        "a",
    ]
    pairs = list(product(versions, versions))
    assert [rpmvercmp(*pair) for pair in pairs] == rpm_says(pairs)


@settings(max_examples=60, deadline=None)
@given(DEB, DEB)
def test_versions_of_debian_are_compared_as_dpkg_does(one: str, other: str) -> None:
    assert compare("deb", one, other) == dpkg_says(one, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1:3.0.7-27.el9", "1:3.0.14", -1),
        ("3.0.14-1.el9", "3.0.14", 0),  # a release that nobody asked for
        ("3.0.14-1.el9", "3.0.14-2.el9", -1),
        ("1:1.0-1", "2.0-1", 1),
    ],
)
def test_an_epoch_counts_first_and_a_release_where_both_have_one(
    one: str, other: str, expected: int
) -> None:
    assert compare_rpm(one, other) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openssl", PackageQuery("openssl")),
        ("openssl < 3.0.14", PackageQuery("openssl", "<", "3.0.14")),
        ("openssl<=1:3.0.14-1~deb12u1", PackageQuery("openssl", "<=", "1:3.0.14-1~deb12u1")),
        (" linux-image-* != 6.1 ", PackageQuery("linux-image-*", "!=", "6.1")),
        ("Mozilla Firefox >= 128", PackageQuery("Mozilla Firefox", ">=", "128")),
    ],
)
def test_a_search_is_a_name_and_maybe_an_operator_and_a_version(text: str, expected) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is not of the form NAME or NAME OPERATOR VERSION"),
        ("< 3", "it is not of the form NAME or NAME OPERATOR VERSION"),
        ("openssl <", "it is not of the form NAME or NAME OPERATOR VERSION"),
        ("openssl < 3 4", "it is not of the form NAME or NAME OPERATOR VERSION"),
        ("openssl < ab_c", "'ab_c' is no version"),
    ],
)
def test_another_text_is_refused_with_an_example(text: str, why: str) -> None:
    with pytest.raises(ReconcilerError) as refused:
        parse_query(text)
    assert str(refused.value) == (
        f"RW252: the search {text!r} cannot be understood: {why}. Write it as "
        "'openssl < 3.0.14', 'linux-image-*' or 'bash = 5.2-1'; operators are <= >= == != < > =."
    )


def test_an_installed_version_may_be_whatever_a_package_called_itself() -> None:
    odd = Item(1, "packages", ("tool", "amd64", "version two", "", "", "", "deb"))
    assert not PackageQuery("tool", ">", "3").matches(odd)
    assert PackageQuery("tool", "<", "3").matches(odd)
    without = Item(2, "hotfixes", ("KB5031234", "Update", ""))
    assert PackageQuery("KB*").matches(without)
    assert not PackageQuery("KB*", "<", "3").matches(without)
