"""Any change of the ledger is found, by its chain of hashes or by what was witnessed of it."""

import sqlite3
from contextlib import closing
from dataclasses import replace as changed

import pytest
from alembic import command
from alembic.config import Config
from builders.world import NOW, a_disk, a_fleet, a_machine, an_image, observed, ramdisk
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from reconciler.planning.planner import plan
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.ledger_chain import Head, LedgerLine, first_broken, line_hash
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.operation_body import encode_operation
from reconciler.state.operation_states import OperationState
from reconciler.state.witness import contradiction

ID = "0123abcd" * 4
TEXT = st.text(max_size=8)
FIELDS = st.tuples(
    st.none() | TEXT,
    TEXT,
    st.integers(0, 9),
    st.just("2026-11-21T12:00:00.000000+00:00"),
    TEXT,
    TEXT,
)


def chained(fields, ledger=ID):
    before, lines = ledger, []
    for number, each in enumerate(fields, start=1):
        line = LedgerLine(number, *each)
        before = line_hash(before, line)
        lines.append((line, before))
    return lines


def is_noticed(lines, known, ledger=ID):
    """Return whether a ledger of these lines is not the one that was known."""
    head = Head(ledger, *((lines[-1][0].sequence, lines[-1][1]) if lines else (0, ledger)))
    there = next((found for line, found in lines if line.sequence == known.line), "")
    return first_broken(ledger, lines) is not None or contradiction(known, head, there) is not None


@given(st.lists(FIELDS, min_size=1, max_size=8), FIELDS, st.data())
def test_no_change_of_any_line_is_missed(fields, other, data):
    lines = chained(fields)
    known = Head(ID, len(lines), lines[-1][1])
    assert not is_noticed(lines, known)
    place = data.draw(st.integers(0, len(lines) - 1))
    line, found = lines[place]
    kind = data.draw(st.sampled_from(["field", "hash", "removal", "insertion", "swap", "rewrite"]))
    after = list(lines)
    if kind == "field":
        name = data.draw(st.sampled_from(LedgerLine._fields[1:]))
        value = LedgerLine(line.sequence, *other)
        after[place] = (line._replace(**{name: getattr(value, name)}), found)
    elif kind == "hash":
        after[place] = (line, line_hash(found, line))
    elif kind == "removal":
        del after[place]
    elif kind == "insertion":
        new = LedgerLine(line.sequence, *other)
        after.insert(place, (new, line_hash(after[place - 1][1] if place else ID, new)))
        after = [
            (each._replace(sequence=number), stored)
            for number, (each, stored) in enumerate(after, start=1)
        ]
    elif kind == "swap":
        with_place = data.draw(st.integers(0, len(lines) - 1))
        (one, first), (two, second) = after[place], after[with_place]
        after[place] = (two._replace(sequence=one.sequence), second)
        after[with_place] = (one._replace(sequence=two.sequence), first)
    else:  # everything from here on is written anew, hashes and all
        rest = [LedgerLine(0, *other), *(each for each, _ in after[place + 1 :])]
        after = chained([*(each[1:] for each, _ in after[:place]), *(each[1:] for each in rest)])
    assert is_noticed(after, known) == (after != lines)


@given(st.lists(FIELDS, max_size=5))
def test_two_ledgers_have_no_line_in_common(fields):
    other = chained(fields, "f" * 32)
    assert not {found for _, found in chained(fields)} & {found for _, found in other}


# --- in the database ---------------------------------------------------------------------


def an_operation(number=1):
    machine = a_machine(number, "clone-golden")
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    return plan(a_fleet(machine), world, NOW).items[0].operation


@pytest.fixture
def database(tmp_path):
    database = open_database(tmp_path / "rackwright.db", new_ledger_id=lambda: ID)
    yield database
    database.close()


def written(database, count):
    ledger = Ledger(database)
    for number in range(1, count + 1):
        ledger.plan(an_operation(number), NOW, "ada")
    return LedgerLines(database)


def test_every_line_follows_from_the_one_before_it(database):
    lines = written(database, 3)
    stored = list(lines.stored())
    assert [line.sequence for line, _ in stored] == [1, 2, 3]
    assert first_broken(ID, stored) is None
    assert lines.head() == Head(ID, 3, stored[-1][1])
    assert lines.at(2).hash == stored[1][1]
    assert (lines.at(0).hash, lines.at(4).hash) == (ID, "")


def test_the_first_line_that_was_changed_is_named(database, tmp_path):
    lines = written(database, 5)
    with closing(sqlite3.connect(tmp_path / "rackwright.db")) as connection:
        connection.execute("DROP TRIGGER ledger_refuses_UPDATE")
        connection.execute("UPDATE ledger SET actor = 'eve' WHERE sequence = 3")
        connection.commit()
    broken = first_broken(ID, lines.stored())
    assert (broken.sequence, broken.actor) == (3, "eve")


def test_nothing_in_the_chain_can_be_changed_in_passing(database):
    written(database, 1)
    for statement in (
        "UPDATE ledger SET hash = ''",
        "DELETE FROM ledger",
        "UPDATE ledger_id SET id = 'other'",
        "DELETE FROM ledger_id",
    ):
        with pytest.raises(IntegrityError), database.writing() as connection:
            connection.execute(text(statement))


def test_a_line_that_is_rolled_back_leaves_no_gap(database):
    ledger = Ledger(database)

    def write_and_fail():
        with ledger.writing() as connection:
            ledger.plan_within(connection, an_operation(), NOW, "ada")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    lines = written(database, 2)
    assert [line.sequence for line, _ in lines.stored()] == [1, 2]
    assert first_broken(ID, lines.stored()) is None


def test_a_database_of_before_gets_its_hashes_once_and_keeps_its_lines(tmp_path):
    path = tmp_path / "rackwright.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", "reconciler:state/migrations")
    operation = an_operation()
    reason = 'ä " \\'
    states = ["planned", "approved", "armed"]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO operation VALUES (:op_id, 'm', 'h', :body, '2026')"),
            {"op_id": operation.op_id, "body": encode_operation(operation)},
        )
        for number, state in enumerate(states):
            connection.execute(
                text("INSERT INTO ledger VALUES (:number, :op_id, :state, 1, :at, 'ada', :reason)"),
                {
                    "number": number * 2 + 1,  # a gap is no reason to lose anything
                    "op_id": operation.op_id,
                    "state": state,
                    "at": NOW.isoformat(timespec="microseconds"),
                    "reason": reason,
                },
            )
    engine.dispose()

    database = open_database(path, new_ledger_id=lambda: ID)
    lines, ledger = LedgerLines(database), Ledger(database)
    stored = list(lines.stored())
    assert [(line.sequence, line.state) for line, _ in stored] == [
        (1, "planned"),
        (3, "approved"),
        (5, "armed"),
    ]
    assert [line.reason for line in ledger.history(operation.op_id)] == [reason] * 3
    assert first_broken(ID, stored) is None
    ledger.move(
        operation.op_id,
        OperationState.ARMED,
        OperationState.STARTED,
        attempt=1,
        at=NOW,
        actor="m",
        reason="",
    )
    assert (lines.head().line, first_broken(ID, lines.stored())) == (6, None)
    before = lines.head()
    database.close()
    again = open_database(path, new_ledger_id=lambda: "another")
    assert LedgerLines(again).head() == before
    again.close()


def test_a_line_about_no_operation_moves_none(database):
    ledger = Ledger(database)
    operation = an_operation()
    ledger.plan(operation, NOW, "ada")
    with ledger.writing() as connection:
        ledger.accept_within(connection, NOW, "bob", "restored")
    lines = LedgerLines(database)
    assert lines.accepted_at() == NOW
    assert first_broken(ID, lines.stored()) is None
    assert [each.state for each in ledger.operations()] == [OperationState.PLANNED]
    assert len(ledger.history(operation.op_id)) == 1
    ledger.plan(changed(operation, op_id="b" * 32), NOW, "ada")
    assert lines.head().line == 3
