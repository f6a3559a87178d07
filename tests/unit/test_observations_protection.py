"""Protection outlives the line that wrote it, until `protect: false` is written."""

from dataclasses import replace

import pytest
from builders.world import NOW, a_machine
from hypothesis import given
from hypothesis import strategies as st

from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.machines import Machines
from reconciler.state.protection import protected_after
from reconciler.state.protections import Protections
from reconciler.state.world import observe
from specs.diagnostics.position import Position
from specs.fleet import PROTECT, Origin

NODE = a_machine(1, "clone-golden")
OTHER = a_machine(2, "clone-golden")
PLACE = {PROTECT: Origin(Position("rack.yaml", 12, 5))}


@pytest.fixture
def database(tmp_path):
    opened = open_database(tmp_path / "rackwright.db")
    yield opened
    opened.close()


def says(machine, protect, **others):
    return replace(machine, protect=protect, origins=PLACE if protect else {}, **others)


def protected_at(database, machine):
    machines = (machine,)
    seen = observe(database, machines, {}, NOW).machines[machine.name]
    assert Machines(database).seen(machine, FleetHardware(machines), NOW) == seen
    return seen.protected_at


def remember(database, *machines, commit="1a2b3c4d5e6f7a8b"):
    Protections(database).remember(machines, commit, NOW)


def test_a_deleted_line_or_document_leaves_the_hardware_protected(database) -> None:
    remember(database, says(NODE, protect=True), says(OTHER, protect=None))
    remember(database, says(NODE, protect=None))
    remember(database)
    assert protected_at(database, NODE) == "rack.yaml:12:5 of commit 1a2b3c4d5e6f"
    assert protected_at(database, OTHER) == ""


def test_an_explicit_no_ends_it(database) -> None:
    remember(database, says(NODE, protect=True), says(OTHER, protect=True))
    remember(database, says(NODE, protect=False))
    assert protected_at(database, NODE) == ""
    assert protected_at(database, OTHER)


def test_it_follows_the_hardware_under_every_identity_that_it_gets(database) -> None:
    macs = ("52:54:00:aa:00:01", "52:54:00:aa:00:02")
    remember(database, says(NODE, protect=True))
    remember(database, says(NODE, protect=None, macs=(*NODE.macs, *macs), name="renamed"))
    moved = replace(NODE, uuid="", macs=macs)
    assert protected_at(database, moved) == "rack.yaml:12:5 of commit 1a2b3c4d5e6f"


def test_a_no_for_one_machine_does_not_end_that_of_another_whose_card_it_got(database) -> None:
    board = replace(NODE, uuid="4c4c4544-0042-3510-8052-b4c04f4e4a32")
    remember(database, says(board, protect=True))
    remember(database, says(OTHER, protect=False, macs=(*OTHER.macs, *board.macs)))
    assert protected_at(database, board)


def test_files_outside_git_name_no_commit(database) -> None:
    remember(database, says(NODE, protect=True), commit="")
    assert protected_at(database, NODE) == "rack.yaml:12:5"


@given(st.lists(st.lists(st.sampled_from([True, False, None]), min_size=2, max_size=2), max_size=6))
def test_the_last_word_that_was_said_holds(revisions) -> None:
    known = {}
    for first, second in revisions:
        machines = says(NODE, protect=first), says(OTHER, protect=second)
        known = protected_after(known, machines, "")
    for index, machine in enumerate((NODE, OTHER)):
        said = [each[index] for each in revisions if each[index] is not None]
        is_protected = any(each in known for each in machine.hardware_identities)
        assert is_protected is bool(said and said[-1])


@given(st.sets(st.integers(0, 5), min_size=1), st.sets(st.integers(0, 5), min_size=1))
def test_it_may_spread_with_shared_hardware_but_never_gets_lost(first, second) -> None:
    cards = [f"52:54:00:aa:00:0{number}" for number in range(6)]
    before = says(NODE, protect=True, uuid="", macs=tuple(cards[each] for each in sorted(first)))
    after = says(NODE, protect=None, uuid="", macs=tuple(cards[each] for each in sorted(second)))
    known = protected_after(protected_after({}, [before], ""), [after], "")
    expected = first | second if first & second else first
    assert known.keys() == {f"mac:{cards[each]}" for each in expected}
