"""Ids of imported names: by one rule, the same whatever stands beside, and chosen by people."""
# ruff: noqa: RUF001 - full-width characters are what it is about

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.authoring.conversions import stable_id
from reconciler.authoring.ids_file import IdsFile, ids_text, read_ids
from reconciler.authoring.imported_names import Ids, ImportedNames
from reconciler.authoring.rewrite import AuthoringError
from specs.types.display_name import misleading
from specs.types.name import is_label, is_segment

NAMES = st.text(min_size=1, max_size=70).filter(
    lambda text: text == text.strip() and not misleading(text)
) | st.sampled_from(["PC 1", "pc_1", "pc-1", "pc-1-2", "東京", "東京1", "a" * 70, "ＰＣ 1"])
PATHS = st.lists(NAMES.filter(lambda text: "/" not in text), min_size=1, max_size=3).map("/".join)


def ids_of(
    machines: list[str], groups: list[str] | None = None, asked_for: IdsFile | None = None
) -> Ids:
    names = ImportedNames()
    for number, given_name in enumerate(machines, 1):
        names.machine(f"m.csv:{number}", given_name)
    for number, path in enumerate(groups or [], 1):
        names.group(f"g.ini:{number}", path)
    return names.ids(asked_for)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("node-07", "node-07"),
        ("PC 01", "pc-01"),
        ("ＰＣ＿０１", "pc-01"),
        ("Café", "cafe"),
        ("東京", "m-130016b259"),
        ("東京1", "1-7092966a9d"),
        ("計算ノード A", "a-eb7468a9de"),
        ("㈱", "m-f425a36cd5"),
        ("node 👩", "node-76d3832824"),
        ("x" * 64, "x" * 52 + "-7ce100971f"),
    ],
)
def test_an_id_is_what_can_be_kept_and_a_digest_where_something_is_lost(
    name: str, made: str
) -> None:
    assert stable_id(name, "machine") == made


def test_one_name_in_the_characters_of_windows_and_of_others_has_one_id() -> None:
    assert stable_id("第1〜2棟", "group") == stable_id("第1～2棟", "group")
    assert stable_id("が", "group") == stable_id("か\u3099", "group")
    assert stable_id("ｶﾞ", "group") == stable_id("ガ", "group")


@given(st.lists(NAMES, unique=True, max_size=8), st.lists(PATHS, unique=True, max_size=8))
@settings(deadline=None)
def test_ids_are_valid_unique_and_the_same_in_any_order(
    machines: list[str], groups: list[str]
) -> None:
    ids = ids_of(machines, groups)
    assert all(map(is_label, ids.machines.values()))
    assert len(set(ids.machines.values())) == len(ids.machines) == len(machines)
    assert all(is_segment(part) for path in ids.groups.values() for part in path.split("/"))
    assert len(set(ids.groups.values())) == len(ids.groups)
    other = ids_of(machines[::-1], groups[::-1])
    assert (other.machines, other.groups) == (ids.machines, ids.groups)


@given(st.lists(NAMES, unique=True, min_size=1, max_size=8))
@settings(deadline=None)
def test_neighbours_change_an_id_only_where_they_want_the_same(machines: list[str]) -> None:
    wanted = [stable_id(each, "machine") for each in machines]
    ids = ids_of(machines).machines
    for name, alone in zip(machines, wanted, strict=True):
        if wanted.count(alone) == 1:
            assert ids[name] == alone


def test_an_id_that_somebody_has_is_not_taken_by_a_number() -> None:
    ids = ids_of(["PC 1", "pc_1", "pc-1-2"])
    assert ids.machines == {"PC 1": "pc-1", "pc_1": "pc-1-3", "pc-1-2": "pc-1-2"}
    assert ids.numbered == {"pc-1-3"}
    assert ids.lines == (
        "m.csv:1: machine 'PC 1' -> pc-1",
        "m.csv:2: machine 'pc_1' -> pc-1-3 (another is 'PC 1')",
    )


def test_thousands_of_names_with_one_id_are_numbered_at_once() -> None:
    names = [f"{'!' * (number % 300)}PC{'?' * (number // 300)}" for number in range(30_000)]
    assert ids_of(names).machines[min(names)] == "pc"
    assert len(set(ids_of(names).machines.values())) == len(names)


def test_a_group_is_below_the_group_that_it_was_below() -> None:
    ids = ids_of([], ["/東京/ラック 1", "東京", "Site A/x", "site-a/x"])
    above = ids.groups["東京"]
    assert ids.groups["東京/ラック 1"].startswith(f"{above}/1-")
    assert (ids.groups["Site A/x"], ids.groups["site-a/x"]) == ("site-a-2/x", "site-a/x")


CHOSEN = "name,id\n東京1号機,tokyo-1\n/東京,tokyo\n/東京/ラック 1,tokyo/rack-1\n"


def test_a_person_chooses_ids() -> None:
    chosen = read_ids("ids.csv", CHOSEN)
    ids = ids_of(["東京1号機", "Tokyo 1"], ["東京/ラック 1", "東京/x", "Tokyo"], chosen)
    assert ids.machines == {"東京1号機": "tokyo-1", "Tokyo 1": "tokyo-1-2"}
    assert ids.groups == {
        "東京/ラック 1": "tokyo/rack-1",
        "東京/x": "tokyo/x",
        "Tokyo": "tokyo-2",
    }


def test_an_id_that_is_chosen_for_nobody_is_named() -> None:
    names = ImportedNames()
    names.group("m.csv:1", "東京/x")
    assert list(names.unused(read_ids("ids.csv", CHOSEN))) == [
        "ids.csv: no machine '東京1号機' is imported, so its id is unused",
        "ids.csv: no group '東京/ラック 1' is imported, so its id is unused",
    ]


@given(st.lists(NAMES, unique=True, max_size=6), st.lists(PATHS, unique=True, max_size=6))
@settings(deadline=None)
def test_written_ids_are_read_again_and_give_the_same(
    machines: list[str], groups: list[str]
) -> None:
    machines = [each for each in machines if not each.startswith("/")]
    ids = ids_of(machines, groups)
    chosen = read_ids("ids.csv", ids_text(dict(ids.converted())))
    again = ids_of(machines, groups, chosen)
    assert (again.machines, again.groups) == (ids.machines, ids.groups)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ids.csv:1: the first line names the columns: name,id"),
        ("東京,tokyo\n", "ids.csv:1: the first line names the columns: name,id"),
        ("name,id\nx,X\n", "ids.csv:2: 'X' is no machine's id, such as node-07"),
        ("name,id\n/x,a//b\n", "ids.csv:2: 'a//b' is no group's path, such as tokyo/row2"),
        ("name,id\nx,\n", "ids.csv:2: a name or its id is missing"),
        ("name,id\nx\n", "ids.csv:2: a name or its id is missing"),
        ("name,id\nx,y,z\n", "ids.csv:2: 3 cells, but there are two columns"),
        ("name,id\nx,a\nx,b\n", "ids.csv:3: the name 'x' is there already, in line 2"),
        ("name,id\nx,a\ny,a\n", "ids.csv:3: the id 'a' is there already, in line 2"),
        ('name,id\n"x,a\n', "ids.csv:2: this is not CSV: unexpected end of data"),
    ],
)
def test_what_is_wrong_with_chosen_ids_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(AuthoringError, match=re.escape(f"RW979: ids.csv has 1 error(s)\n{said}. ")):
        read_ids("ids.csv", text)


def test_one_id_may_be_a_machines_and_a_groups() -> None:
    chosen = read_ids("ids.csv", "name;id;\n東京;tokyo;\n/東京;tokyo;\n")
    assert (chosen.machines, chosen.groups) == ({"東京": "tokyo"}, {"東京": "tokyo"})
