from dataclasses import replace
from datetime import timedelta

import pytest
from builders.world import NOW, a_disk, a_fleet, a_machine, an_image, in_ram, observed
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from agent.wire.work import OperationEvent
from providers.netboot.decision import Grant
from reconciler.errors import StateError
from reconciler.ledger.ledger import Ledger
from reconciler.ledger.states import ENDED, TRANSITIONS, OperationState
from reconciler.planning.planner import plan
from reconciler.store import schema
from reconciler.store.database import open_database
from reconciler.store.grants import Grants, Token

_S = OperationState


@pytest.fixture
def database(tmp_path):
    database = open_database(tmp_path / "state" / "rackwright.db")
    yield database
    database.close()


@pytest.fixture
def ledger(database):
    return Ledger(database)


@pytest.fixture
def operation():
    machine = a_machine(1, "clone-golden")
    world = observed({machine.name: in_ram(machine, a_disk())}, (an_image(),))
    return plan(a_fleet(machine), world, NOW).items[0].operation


def move(ledger, operation, before, after, attempt=1):
    ledger.move(
        operation.op_id, before, after, attempt=attempt, at=NOW, actor="test", reason="because"
    )


def test_an_operation_comes_back_as_it_was_planned(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    (status,) = ledger.operations()
    assert status.operation == operation
    assert (status.state, status.attempt, status.at) == (_S.PLANNED, 0, NOW)


def test_planning_an_operation_again_changes_nothing(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    ledger.plan(operation, NOW + timedelta(hours=1), "bob")
    (status,) = ledger.operations()
    assert status.state is _S.APPROVED


def test_history_keeps_every_move_with_actor_and_reason(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    move(ledger, operation, _S.APPROVED, _S.ARMED)
    assert [(line.state, line.actor, line.reason) for line in ledger.history(operation.op_id)] == [
        (_S.PLANNED, "ada", ""),
        (_S.APPROVED, "test", "because"),
        (_S.ARMED, "test", "because"),
    ]


def test_a_move_that_the_table_does_not_know_is_refused(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    with pytest.raises(StateError, match=r"RW703: operation \w+ cannot go from planned to started"):
        move(ledger, operation, _S.PLANNED, _S.STARTED)


def test_of_two_who_move_the_same_operation_only_one_succeeds(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    with pytest.raises(StateError, match=r"RW704: operation \w+ stands at approved, attempt 0"):
        move(ledger, operation, _S.PLANNED, _S.CANCELLED, 0)


def test_an_older_attempt_is_fenced_off(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    move(ledger, operation, _S.APPROVED, _S.ARMED, 1)
    move(ledger, operation, _S.ARMED, _S.STARTED, 1)
    move(ledger, operation, _S.STARTED, _S.ARMED, 2)
    move(ledger, operation, _S.ARMED, _S.STARTED, 2)
    with pytest.raises(StateError, match="RW704"):
        move(ledger, operation, _S.STARTED, _S.FAILED, 1)


def test_an_unknown_operation_is_named(ledger):
    with pytest.raises(StateError, match="RW702: the ledger knows no operation abc"):
        ledger.move(
            "abc", _S.PLANNED, _S.APPROVED, attempt=0, at=NOW, actor="test", reason="because"
        )


@pytest.mark.parametrize("table", ["operation", "ledger"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET op_id = 'x'", "DELETE FROM {}"], ids=["update", "delete"]
)
def test_history_cannot_be_rewritten(database, ledger, operation, table, statement):
    ledger.plan(operation, NOW, "ada")
    with (
        pytest.raises(IntegrityError, match=f"the {table} table is append-only"),
        database.writing() as connection,
    ):
        connection.execute(text(statement.format(table)))


def test_progress_that_comes_twice_or_late_is_recognised(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    event = OperationEvent(attempt=1, sequence=5, kind="progress", step=1, bytes_done=10)
    assert ledger.record_progress(operation.op_id, event, NOW)
    assert not ledger.record_progress(operation.op_id, event, NOW)
    late = OperationEvent(attempt=1, sequence=4, kind="progress", step=0)
    assert not ledger.record_progress(operation.op_id, late, NOW)
    resumed = OperationEvent(attempt=2, sequence=1, kind="step-started", step=0)
    assert ledger.record_progress(operation.op_id, resumed, NOW)


def test_progress_of_an_earlier_attempt_is_not_shown(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    move(ledger, operation, _S.APPROVED, _S.ARMED, 1)
    move(ledger, operation, _S.ARMED, _S.STARTED, 1)
    event = OperationEvent(attempt=1, sequence=5, kind="done", step=3)
    ledger.record_progress(operation.op_id, event, NOW)
    assert ledger.operations()[0].steps_done
    move(ledger, operation, _S.STARTED, _S.ARMED, 2)
    assert not ledger.operations()[0].steps_done


def test_what_is_committed_is_there_after_reopening(tmp_path, operation):
    path = tmp_path / "rackwright.db"
    first = open_database(path)
    Ledger(first).plan(operation, NOW, "ada")
    first.close()
    second = open_database(path)
    assert len(Ledger(second).operations()) == 1
    second.close()


def test_the_migrations_make_exactly_the_schema(database):
    with database.reading() as connection:
        inspector = inspect(connection)
        for name, table in schema.metadata.tables.items():
            found = {column["name"] for column in inspector.get_columns(name)}
            assert found == {column.name for column in table.columns}, name


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "rackwright.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StateError, match=r"RW701: the state database .* file is not a database"):
        open_database(path)


def test_a_grant_is_claimed_once(database, ledger, operation):
    ledger.plan(operation, NOW, "ada")
    grants = Grants(database)
    grant = Grant(operation.op_id, 1, "node-01", operation.macs, operation.uuid, NOW)
    with database.writing() as connection:
        grants.issue_within(connection, grant)
    assert grants.unclaimed({operation.op_id: 1}) == (grant,)
    assert grants.unclaimed({operation.op_id: 2}) == ()
    with database.writing() as connection:
        assert grants.claim_within(connection, operation.op_id, 1, NOW)
        assert not grants.claim_within(connection, operation.op_id, 1, NOW)
    assert grants.unclaimed({operation.op_id: 1}) == ()


def test_a_token_is_used_once_but_its_user_may_ask_again(database, ledger, operation):
    ledger.plan(operation, NOW, "ada")
    grants = Grants(database)
    grants.store_token(Token("t1", operation.op_id, 1, "node-01", "deploy-os", NOW))
    assert grants.use_token("t1", "request-1", NOW)
    assert grants.use_token("t1", "request-1", NOW)
    assert not grants.use_token("t1", "request-2", NOW)
    assert grants.token("t1").used_by == "request-1"


def test_a_newer_token_makes_the_unused_older_one_void(database, ledger, operation):
    ledger.plan(operation, NOW, "ada")
    grants = Grants(database)
    for digest in ("t1", "t2"):
        grants.store_token(Token(digest, operation.op_id, 1, "node-01", "deploy-os", NOW))
    assert grants.token("t1").void
    assert not grants.use_token("t1", "request", NOW)
    assert grants.use_token("t2", "request", NOW)


@settings(max_examples=30, deadline=None)
@given(moves=st.lists(st.sampled_from(OperationState), max_size=12))
def test_no_sequence_of_moves_leaves_an_end_or_skips_approval(tmp_path_factory, moves):
    machine = a_machine(1, "clone-golden")
    world = observed({machine.name: in_ram(machine, a_disk())}, (an_image(),))
    operation = plan(a_fleet(machine), world, NOW).items[0].operation
    database = open_database(tmp_path_factory.mktemp("ledger") / "db")
    ledger = Ledger(database)
    ledger.plan(replace(operation), NOW, "ada")
    state = _S.PLANNED
    seen = [state]
    for wanted in moves:
        try:
            move(ledger, operation, state, wanted)
        except StateError:
            assert wanted not in TRANSITIONS[state]
        else:
            assert state not in ENDED
            state = wanted
            seen.append(state)
    assert ledger.operations()[0].state is state
    if _S.STARTED in seen:
        assert seen.index(_S.APPROVED) < seen.index(_S.ARMED) < seen.index(_S.STARTED)
    database.close()
