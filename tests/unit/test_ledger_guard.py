"""A ledger that is not the one that was written makes the fleet observe-only, until accepted."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from builders.world import NOW

from reconciler.app.accept_ledger import accept_ledger
from reconciler.errors import ReconcilerError, StateError
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.ledger_guard import LedgerGuard
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.operation_states import OperationState
from reconciler.state.witness import Witnesses
from tests.unit.test_ledger_chain import an_operation

_S = OperationState


class State:
    """A state directory with a ledger, and the guard of a server that may be started anew."""

    def __init__(self, path):
        self.state = path
        self.path = path / "rackwright.db"
        self.now = NOW
        for place in ("trust", "store"):
            (path / place).mkdir()
        self.database = open_database(self.path)
        self.ledger = Ledger(self.database)
        self.count = 0

    def write(self, *states):
        """Write the lines of one more operation; return its id."""
        self.count += 1
        operation = an_operation(self.count)
        self.ledger.plan(operation, self.now, "ada")
        before = _S.PLANNED
        for after in states:
            self.ledger.move(
                operation.op_id, before, after, attempt=1, at=self.now, actor="ada", reason=""
            )
            before = after
        return operation.op_id

    def guard(self):
        guard = LedgerGuard(self.database, Witnesses(self.state), lambda: self.now)
        guard.start()
        return guard

    def copy(self):
        copy = self.state / "copy.db"
        with (
            closing(sqlite3.connect(self.path)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        return copy

    def close(self):
        self.database.close()

    def reopen(self, copy=None):
        """Stop using the database; go on with a copy, or with none."""
        self.database.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        if copy is not None:
            shutil.copy(copy, self.path)
        self.database = open_database(self.path)
        self.ledger = Ledger(self.database)

    # --- what ``accept_ledger`` takes for a project -----------------------------------

    @property
    def observe_only(self):
        from reconciler.state.ledger_guard import observe_only_of  # noqa: PLC0415

        return observe_only_of(Witnesses(self.state), lambda: LedgerLines(self.database))


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path)
    yield state
    state.close()


def witnessed(state, place):
    return json.loads((state.state / place / "ledger.json").read_bytes())


def test_a_new_installation_contradicts_nothing(state):
    guard = state.guard()
    assert guard.observe_only is None
    assert guard.may_act()
    assert witnessed(state, "trust") == witnessed(state, "store")
    assert witnessed(state, "trust")["line"] == 0


def test_a_machine_may_act_once_the_line_is_known_elsewhere(state):
    guard = state.guard()
    state.write(_S.APPROVED, _S.ARMED)
    assert witnessed(state, "trust")["line"] == 0
    assert guard.may_act()
    assert (witnessed(state, "trust")["line"], witnessed(state, "store")["line"]) == (3, 0)
    guard.look()
    assert witnessed(state, "store")["line"] == 3


def test_where_nothing_was_added_nothing_is_written(state, monkeypatch):
    guard = state.guard()
    state.write()
    assert guard.may_act()
    monkeypatch.setattr("reconciler.state.witness.write_atomically", None)
    assert guard.may_act()


def test_nothing_begins_where_the_witness_cannot_be_written(state):
    guard = state.guard()
    state.write()
    witness = state.state / "trust/ledger.json"
    witness.unlink()
    witness.mkdir()  # what is a folder takes no content
    with pytest.raises(StateError, match=r"RW747: .*/trust/ledger.json cannot be written"):
        guard.may_act()
    assert guard.observe_only is None
    witness.rmdir()
    assert guard.may_act()


def test_lines_that_no_witness_knows_are_no_mismatch(state):
    state.guard()
    state.write(_S.APPROVED)
    state.reopen(state.copy())
    assert state.guard().observe_only is None


@pytest.mark.parametrize("is_running", [False, True])
def test_an_earlier_copy_is_noticed(state, is_running):
    state.write()
    copy = state.copy()
    guard = state.guard()
    state.write(_S.APPROVED)
    guard.look()
    if is_running:
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(state.path)) as to:
            source.backup(to)
        assert not guard.may_act()
    else:
        state.reopen(copy)
        guard = state.guard()
    assert guard.observe_only.code == "RW742"
    assert guard.observe_only.cause.startswith(
        "the ledger ends at line 1, but line 3 was written: the database was restored"
    )
    assert guard.observe_only.since == "2026-11-21T12:00:00.000000+00:00"


def test_an_earlier_copy_that_went_on_is_noticed(state):
    state.write()
    copy = state.copy()
    guard = state.guard()
    state.write()
    guard.look()
    state.reopen(copy)
    state.now += timedelta(seconds=1)
    state.write(_S.APPROVED, _S.CANCELLED)
    assert state.guard().observe_only.code == "RW744"


def test_another_ledger_is_noticed(state):
    state.write()
    state.guard()
    state.reopen()
    guard = state.guard()
    assert guard.observe_only.code == "RW743"
    assert "was in use up to line 1: it was lost, or this is another one" in (
        guard.observe_only.cause
    )


def test_a_database_that_is_gone_is_noticed_without_one_being_made(state):
    from reconciler.state.ledger_guard import observe_only_of  # noqa: PLC0415

    state.write()
    state.guard()
    found = observe_only_of(Witnesses(state.state), lambda: None)
    assert (found.code, found.cause) == (
        "RW742",
        "there is no database, but there was one with 1 ledger lines",
    )
    shutil.rmtree(state.state / "trust")
    assert observe_only_of(Witnesses(state.state), lambda: None) == found
    shutil.rmtree(state.state / "store")
    assert observe_only_of(Witnesses(state.state), lambda: None) is None


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_other_files_under_a_running_server_are_noticed(state, suffix):
    guard = state.guard()
    path = state.path.with_name(state.path.name + suffix)
    copy = path.with_name("other")
    shutil.copy(path, copy)
    copy.replace(path)
    assert not guard.may_act()
    assert guard.observe_only.code == "RW745"
    assert guard.observe_only.cause == "the database was exchanged while the server ran"


def test_a_database_that_is_deleted_under_a_running_server_is_noticed(state):
    guard = state.guard()
    state.path.unlink()
    assert not guard.look()
    assert guard.observe_only.cause == "the database was deleted while the server ran"


def test_a_ledger_that_cannot_be_read_any_more_is_noticed(state):
    guard = state.guard()
    with closing(sqlite3.connect(state.path)) as connection:
        connection.execute("DROP TABLE ledger")
        connection.commit()
    assert not guard.may_act()
    assert guard.observe_only.code == "RW745"
    assert "no such table: ledger" in guard.observe_only.cause


def test_a_witness_that_cannot_be_read_is_not_passed_over(state):
    state.guard()
    (state.state / "store/ledger.json").write_text("{}", "utf-8")
    guard = state.guard()
    assert guard.observe_only.code == "RW747"
    assert "store/ledger.json is damaged" in guard.observe_only.cause


@pytest.mark.parametrize("place", ["trust", "store"])
def test_one_witness_is_enough(state, place):
    state.write()
    guard = state.guard()
    state.write()
    guard.look()
    (state.state / place / "ledger.json").unlink()
    state.reopen()
    assert state.guard().observe_only.code == "RW743"


def test_observe_only_outlives_the_server_and_what_caused_it(state):
    state.write()
    guard = state.guard()
    sound = state.copy()
    state.reopen()
    state.guard()
    state.reopen(sound)  # the right one comes back, and a person has yet to look
    guard = state.guard()
    assert guard.observe_only.code == "RW743"
    assert not guard.may_act()
    state.now += timedelta(hours=1)
    guard.enter("RW746", "agents say so")
    assert guard.observe_only.code == "RW743"


def test_whoever_removes_the_witnesses_accepts_nothing(state):
    guard = state.guard()
    guard.enter("RW746", "agents say so")
    for place in ("trust", "store"):
        (state.state / place / "ledger.json").unlink()
    assert not guard.look()
    assert witnessed(state, "trust")["observe_only"]["code"] == "RW746"


def test_accept_takes_back_what_had_not_begun_and_leaves_the_rest_to_people(state):
    approved, armed = state.write(_S.APPROVED), state.write(_S.APPROVED, _S.ARMED)
    started = state.write(_S.APPROVED, _S.ARMED, _S.STARTED)
    verified = state.write(_S.APPROVED, _S.ARMED, _S.STARTED, _S.VERIFIED)
    copy = state.copy()
    guard = state.guard()
    state.write()
    guard.look()
    state.reopen(copy)
    guard = state.guard()
    with pytest.raises(ReconcilerError, match="RW941"):
        accept_ledger(state, "ada@host", " ", NOW)
    assert guard.observe_only is not None

    done = accept_ledger(state, "ada@host", "restored from 04:00", NOW)
    assert (done.taken_back, done.unknown, done.because.code) == (2, 1, "RW742")
    states = {each.operation.op_id: each.state for each in state.ledger.operations()}
    assert states == {
        approved: _S.PLANNED,
        armed: _S.PLANNED,
        started: _S.INDETERMINATE,
        verified: _S.VERIFIED,
    }
    line = state.ledger.history(armed)[-1]
    assert (line.actor, line.reason) == (
        "ada@host",
        "the ledger was accepted as it is: restored from 04:00",
    )
    assert guard.look()
    assert guard.observe_only is None
    assert guard.may_act()
    assert accept_ledger(state, "ada@host", "again", NOW) is None


def test_the_ledger_that_was_lost_is_another_one_once_an_earlier_copy_was_accepted(state):
    state.write()
    copy = state.copy()
    guard = state.guard()
    for _ in range(4):
        state.write()
    guard.look()
    lost = state.copy().rename(state.state / "lost.db")
    shutil.copy(lost, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("DROP TRIGGER ledger_refuses_DELETE")
        connection.execute("DELETE FROM ledger WHERE sequence > 1")
        connection.commit()
    state.reopen(copy)
    state.guard()
    accept_ledger(state, "ada@host", "it is lost", NOW)
    assert state.guard().observe_only is None
    state.reopen(lost)
    assert state.guard().observe_only.code == "RW744"


def test_the_refusal_says_since_when_why_and_what_to_do(state):
    guard = state.guard()
    guard.enter("RW746", "2 machines say so")
    error = guard.observe_only.error()
    assert isinstance(error, StateError)
    assert str(error) == (
        "RW741: the fleet is observe-only since 2026-11-21 12:00:00 UTC: RW746 2 machines say so. "
        "Run `rackwright ledger verify`, then `rackwright ledger accept --reason TEXT`."
    )
