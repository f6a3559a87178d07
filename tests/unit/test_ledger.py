import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from alembic import command
from alembic.config import Config
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_image,
    an_installed_system,
    observed,
    ramdisk,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from agent.wire.codec import encode
from agent.wire.step import InspectDisks
from agent.wire.work import OperationEvent
from providers.netboot.decision import Grant
from reconciler.errors import StateError
from reconciler.planning.planner import plan
from reconciler.state import schema
from reconciler.state.database import open_database
from reconciler.state.grants import Grants, Token
from reconciler.state.ledger import Ledger
from reconciler.state.machines import Machines
from reconciler.state.operation_body import encode_operation
from reconciler.state.operation_states import ENDED, TRANSITIONS, OperationState
from reconciler.state.operations import Operations
from reconciler.state.work_begun import Impact, WorkBegun
from reconciler.state.world import observe

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
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
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


def test_opening_a_database_to_read_it_waits_for_no_writer(tmp_path):
    path = tmp_path / "rackwright.db"
    writer = open_database(path)
    with writer.writing():
        reader = open_database(path, wait=0)
        assert Machines(reader).quarantines() == ()
    reader.close()
    writer.close()


def test_damage_that_is_met_later_is_told_as_damage(tmp_path):
    path = tmp_path / "rackwright.db"
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'quarantine'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    database = open_database(path)
    with pytest.raises(StateError, match=r"RW701: the state database .* malformed"):
        Machines(database).quarantines()
    database.close()


def test_a_grant_is_claimed_once(database, ledger, operation):
    ledger.plan(operation, NOW, "ada")
    grants = Grants(database)
    grant = Grant(
        operation.op_id, 1, "node-01", operation.instructions.macs, operation.instructions.uuid, NOW
    )
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
    assert grants.use_token("t1", "request-1", "10.77.0.9", NOW)
    assert grants.use_token("t1", "request-1", "10.77.0.9", NOW)
    assert not grants.use_token("t1", "request-2", "10.77.0.9", NOW)
    assert grants.token("t1").used_by == "request-1"


def test_a_newer_token_makes_the_unused_older_one_void(database, ledger, operation):
    ledger.plan(operation, NOW, "ada")
    grants = Grants(database)
    for digest in ("t1", "t2"):
        grants.store_token(Token(digest, operation.op_id, 1, "node-01", "deploy-os", NOW))
    assert grants.token("t1").void
    assert not grants.use_token("t1", "request", "10.77.0.9", NOW)
    assert grants.use_token("t2", "request", "10.77.0.9", NOW)


@pytest.mark.parametrize(
    ("reason", "goes_on"),
    [
        ("RW613: nothing was heard", True),
        ("RW614: the installed agent did not report", True),
        ("RW612: the machine restarted", False),
        ("RW633: its time limit passed", False),
        ("ada said so", False),
    ],
)
@pytest.mark.parametrize("state", [_S.FAILED, _S.INDETERMINATE])
def test_only_what_ended_for_silence_goes_on(ledger, operation, state, reason, goes_on):
    ledger.plan(operation, NOW, "ada")
    for before, after in pairwise([_S.PLANNED, _S.APPROVED, _S.ARMED, _S.STARTED]):
        move(ledger, operation, before, after)
    ledger.move(
        operation.op_id, _S.STARTED, state, attempt=1, at=NOW, actor="server", reason=reason
    )
    (status,) = ledger.operations()
    with ledger.writing() as connection:
        assert ledger.may_go_on(connection, status) is goes_on
    if goes_on:
        move(ledger, operation, state, _S.STARTED)
    else:
        with pytest.raises(StateError, match="RW703"):
            move(ledger, operation, state, _S.STARTED)


@settings(max_examples=30, deadline=None)
@given(moves=st.lists(st.sampled_from(OperationState), max_size=12))
def test_no_sequence_of_moves_leaves_an_end_or_skips_approval(tmp_path_factory, moves):
    machine = a_machine(1, "clone-golden")
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
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
            assert wanted not in TRANSITIONS[state] or state in {_S.FAILED, _S.INDETERMINATE}
        else:
            assert state not in ENDED
            state = wanted
            seen.append(state)
    assert ledger.operations()[0].state is state
    if _S.STARTED in seen:
        assert seen.index(_S.APPROVED) < seen.index(_S.ARMED) < seen.index(_S.STARTED)
    database.close()


# --- what still decides something -----------------------------------------------------


def end(ledger, operation, state, at=NOW, reason="because"):
    """Bring an operation from nothing to its end."""
    ledger.plan(operation, at, "ada")
    path = [_S.PLANNED, _S.APPROVED, _S.ARMED, _S.STARTED, state]
    for attempt, (before, after) in enumerate(pairwise(path)):
        ledger.move(
            operation.op_id,
            before,
            after,
            attempt=min(attempt, 1),
            at=at,
            actor="test",
            reason=reason,
        )


def on_one_card(operation):
    """Return another operation, on hardware of which one MAC is known."""
    mac = "52:54:00:00:00:01"
    return again(
        operation,
        1,
        hardware=f"mac:{mac}",
        identities=(f"mac:{mac}",),
        body=replace(operation.instructions, macs=(mac,), uuid=""),
    )


def again(operation, number, **changes):
    return replace(operation, op_id=f"{number:032x}", **changes)


def test_the_current_operation_is_as_it_was_planned(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    (status,) = ledger.current()
    (whole,) = ledger.operations()
    assert status == whole
    assert whole == status
    found, planned = status.operation, operation
    assert found.instructions == planned.instructions


def test_nothing_is_decoded_until_steps_or_disks_are_asked_for(ledger, operation, monkeypatch):
    end(ledger, operation, _S.VERIFIED)
    monkeypatch.setattr("reconciler.state.operation_body.loads", None)
    (status,) = ledger.current()
    assert status.operation.destructive
    assert (status.operation.scenario, status.operation.run) == ("clone-golden", "1")
    with pytest.raises(TypeError):
        assert status.operation.instructions.steps


def test_of_the_same_work_only_the_newest_end_is_current(ledger, operation):
    capture = replace(operation, destructive=False, kind="capture")
    for number in range(3):
        end(ledger, again(capture, number), _S.VERIFIED)
    end(ledger, again(capture, 9, run="2"), _S.FAILED)
    assert [(each.operation.op_id[-1], each.state) for each in ledger.current()] == [
        ("2", _S.VERIFIED),
        ("9", _S.FAILED),
    ]
    assert len(ledger.operations()) == 4


def test_what_the_disk_holds_stays_current_beside_a_newer_failure(ledger, operation):
    end(ledger, again(operation, 1), _S.VERIFIED)
    end(ledger, again(operation, 2), _S.FAILED)
    assert [each.state for each in ledger.current()] == [_S.VERIFIED, _S.FAILED]
    end(ledger, again(operation, 3), _S.VERIFIED)
    assert [each.operation.op_id[-1] for each in ledger.current()] == ["3"]


def test_the_planners_own_inspections_count_as_one_piece_of_work(ledger, operation):
    inspection = replace(operation, scenario="inspection", kind="inspect", destructive=False)
    for number in range(1, 4):
        end(ledger, again(inspection, number, run=str(number)), _S.VERIFIED)
    assert [each.operation.run for each in ledger.current()] == ["3"]


def test_what_has_not_ended_is_under_way_and_superseded_by_nothing(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    end(ledger, again(operation, 1), _S.INDETERMINATE)
    end(ledger, again(operation, 2), _S.FAILED)
    assert [each.state for each in ledger.under_way()] == [_S.APPROVED, _S.INDETERMINATE]
    assert len(ledger.current()) == 3


def test_progress_is_current_only_for_work_under_way(ledger, operation):
    ledger.plan(operation, NOW, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    move(ledger, operation, _S.APPROVED, _S.ARMED, 1)
    move(ledger, operation, _S.ARMED, _S.STARTED, 1)
    event = OperationEvent(attempt=1, sequence=5, kind="done", step=3, bytes_done=7)
    ledger.record_progress(operation.op_id, event, NOW)
    (status,) = ledger.under_way()
    assert (status.steps_done, status.step, status.bytes_done) == (True, 3, 7)
    assert status.last_event_at == NOW
    assert ledger.current() == ledger.operations()


def begin(database, operation, impact, at=NOW):
    """Plan, approve and arm an operation."""
    ledger = Ledger(database)
    ledger.plan(operation, at, "ada")
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    (status,) = Operations(database).active([operation.op_id])
    with database.writing() as connection:
        ledger.arm_within(
            connection, status, impact, attempt=1, at=at, actor="server", reason="its turn came"
        )


def begun(database, since=NOW):
    return [(each.op_id, each.at, each.at_work) for each in Operations(database).work_begun(since)]


def test_budgets_count_all_work_by_what_it_does(database, operation):
    destructive, disruptive, harmless = (again(operation, number) for number in (1, 2, 3))
    begin(database, destructive, Impact.DESTRUCTIVE)
    begin(database, disruptive, Impact.DISRUPTIVE)
    begin(database, harmless, Impact.SAFE)
    found = Operations(database).work_begun(NOW)
    assert found == tuple(
        WorkBegun(
            each.op_id,
            NOW,
            impact,
            operation.hardware,
            operation.identities,
            operation.scenario,
            operation.kind,
        )
        for each, impact in (
            (destructive, Impact.DESTRUCTIVE),
            (disruptive, Impact.DISRUPTIVE),
            (harmless, Impact.SAFE),
        )
    )


def test_work_counts_for_the_hour_after_it_has_ended(database, ledger, operation):
    begin(database, operation, Impact.DESTRUCTIVE)
    move(ledger, operation, _S.ARMED, _S.STARTED)
    move(ledger, operation, _S.STARTED, _S.FAILED)
    assert begun(database) == [(operation.op_id, NOW, False)]
    assert begun(database, NOW + timedelta(seconds=1)) == []


def test_the_first_arming_of_work_counts_until_it_is_over(database, ledger, operation):
    begin(database, operation, Impact.DISRUPTIVE)
    move(ledger, operation, _S.ARMED, _S.ARMED, 2)
    later = NOW + timedelta(hours=2)
    assert begun(database, later) == [(operation.op_id, NOW, True)]
    move(ledger, operation, _S.ARMED, _S.FAILED, 2)
    assert begun(database, later) == []


def test_operations_are_found_by_any_identity_of_their_hardware(database, ledger, operation):
    other = on_one_card(operation)
    for each in (operation, other):
        ledger.plan(each, NOW, "ada")
    found = Operations(database)
    for identity in operation.identities:
        assert [each.operation for each in found.of_hardware([identity])] == [operation]
    assert found.of_hardware([*operation.identities, other.hardware]) == ledger.current()
    assert found.of_hardware(["mac:52:54:00:ff:ff:ff"]) == ()


def test_the_ledgers_new_lines_name_what_moved(database, ledger, operation):
    found = Operations(database)
    assert found.newest_line() == 0
    ledger.plan(operation, NOW, "ada")
    line = found.newest_line()
    assert found.moved_since(line, 9) == (line, ())
    move(ledger, operation, _S.PLANNED, _S.APPROVED, 0)
    ledger.plan(again(operation, 1), NOW, "ada")
    newest = found.newest_line()
    assert found.moved_since(line, 9) == (newest, (operation.op_id, again(operation, 1).op_id))
    assert found.moved_since(line, 1) == (line + 1, (operation.op_id,))
    assert found.moved_since(line + 1, 1) == (newest, (again(operation, 1).op_id,))


def test_a_name_is_remembered_with_the_hardware_that_had_it_last(ledger, operation):
    newer = on_one_card(operation)
    ledger.plan(operation, NOW, "ada")
    ledger.plan(newer, NOW + timedelta(seconds=1), "ada")
    assert ledger.known_as(operation.machine) == ("mac:52:54:00:00:00:01",)
    assert ledger.known_as("nobody") == ()


@settings(max_examples=25, deadline=None)
@given(
    ends=st.lists(
        st.tuples(
            st.sampled_from([_S.VERIFIED, _S.FAILED, _S.INDETERMINATE]),
            st.sampled_from(["1", "2"]),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_the_planner_decides_the_same_from_the_current_part_of_any_history(tmp_path_factory, ends):
    machine = a_machine(1, "clone-golden")
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    first = plan(a_fleet(machine), world, NOW).items[0].operation
    database = open_database(tmp_path_factory.mktemp("ledger") / "db")
    ledger = Ledger(database)
    for number, (state, run, writes) in enumerate(ends):
        body = replace(first.instructions, disks=(), steps=(InspectDisks(),))
        done = {} if writes else {"body": body, "destructive": False, "proof": False}
        end(
            ledger,
            again(first, number, run=run, **done),
            state,
            NOW + timedelta(seconds=number),
        )
    everything = replace(world, operations=ledger.operations())
    current = replace(world, operations=ledger.current())
    database.close()
    for run in ("1", "2", "3"):
        wanted = replace(machine, assignments=(replace(machine.assignments[0], run=run),))
        fleet = a_fleet(wanted)
        assert plan(fleet, current, NOW).items == plan(fleet, everything, NOW).items


# --- from the first schema ----------------------------------------------------------------


def at_first_revision(path):
    """Return an engine on a database of revision 0001."""
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", "reconciler:state/migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    return engine


def insert_operation(connection, operation, *states):
    connection.execute(
        text("INSERT INTO operation VALUES (:op_id, :machine, :hardware, :body, :at)"),
        {
            "op_id": operation.op_id,
            "machine": operation.machine,
            "hardware": operation.hardware,
            "body": encode_operation(operation),
            "at": stamp(NOW),
        },
    )
    for state in ("planned", *states):
        connection.execute(
            text(
                "INSERT INTO ledger (op_id, state, attempt, at, actor, reason) "
                "VALUES (:op_id, :state, 1, :at, 'ada', 'because')"
            ),
            {"op_id": operation.op_id, "state": state, "at": stamp(NOW)},
        )


def stamp(at):
    return at.isoformat(timespec="microseconds")


def test_a_database_of_the_first_schema_loses_nothing(tmp_path, operation):
    machine = a_machine(1)
    report = a_report(machine, a_disk(), installed=an_installed_system(machine, "f" * 32))
    engine = at_first_revision(tmp_path / "db")
    with engine.begin() as connection:
        insert_operation(connection, operation, "approved", "armed", "started", "verified")
        insert_operation(connection, again(operation, 1), "approved", "failed")
        insert_operation(connection, again(operation, 2), "approved", "armed")
        for statement, values in [
            (
                "INSERT INTO machine_report VALUES (:h, 'installed', 'node-01', :body, :at)",
                {"h": machine.hardware_identity, "body": encode(report).decode()},
            ),
            ("INSERT INTO agent_contact VALUES ('node-01', 'installed', :at)", {}),
            ("INSERT INTO quarantine VALUES ('node-01', 'alarm', :at)", {}),
            ("INSERT INTO quarantine VALUES ('stranger', 'other alarm', :at)", {}),
            (
                (
                    "INSERT INTO boot_event (mac, uuid, route, firmware_boot, source, detail, "
                    "answer, at) VALUES (:mac, '', 'dhcp', 1, '', '', '', :at)"
                ),
                {"mac": machine.macs[0]},
            ),
        ]:
            connection.execute(text(statement), {"at": stamp(NOW), **values})
    engine.dispose()

    database = open_database(tmp_path / "db")
    ledger = Ledger(database)
    assert [each.state for each in ledger.current()] == [_S.VERIFIED, _S.FAILED, _S.ARMED]
    assert ledger.current() == ledger.operations()
    # The hardware may have got another name and another key since.
    now = replace(machine, name="compute-1", uuid="", formerly=(machine.hardware_identity,))
    stranger = a_machine(2, name="stranger")
    world = observe(database, [now, stranger], {}, NOW)
    seen = world.machines["compute-1"]
    assert (seen.installed.report, seen.installed.machine) == (report, "node-01")
    assert seen.installed.installed == report.installed
    assert (seen.installed_contact, seen.boot_request) == (NOW, NOW)
    assert seen.quarantine == "alarm"
    assert world.machines["stranger"].quarantine == "other alarm"
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(text("DELETE FROM operation"))
    database.close()


def test_a_capture_that_failed_hides_no_earlier_one_that_was_verified(ledger, operation):
    capture = {"kind": "capture", "destructive": False, "proof": False}
    end(ledger, again(operation, 1, **capture), _S.VERIFIED)
    end(ledger, again(operation, 2, **capture), _S.FAILED, NOW + timedelta(minutes=1))
    assert [each.state for each in ledger.current()] == [_S.VERIFIED, _S.FAILED]
    end(ledger, again(operation, 3, **capture), _S.VERIFIED, NOW + timedelta(minutes=2))
    assert [each.state for each in ledger.current()] == [_S.VERIFIED]
