"""How politely the server has systems shut down, and what it keeps of what their agents say."""

from datetime import timedelta

import pytest
from builders.agent_calls import AgentCalls
from builders.loop_server import LoopServer
from builders.world import CLONE, NOW, a_fleet, a_machine
from sqlalchemy import select

from agent.wire.power import PowerPolicy
from agent.wire.work import REBOOT_PREFIX, OperationEvent
from reconciler.loop.power_policies import POLITE
from reconciler.loop.power_requests import occurrence_of, request_name
from reconciler.server.agent_api import POWER_PREFIX
from reconciler.state import schema
from reconciler.state.operation_states import OperationState
from tests.unit.test_schedules import DUE, HOUR, MINUTE, Scheduled, a_schedule, chosen, fleet_with

NAME = f"{POWER_PREFIX}nightly-20261121T123000Z"
NODE = a_machine(1, CLONE.name)


def said(kind, message="", attempt=1):
    return OperationEvent(attempt, 1, kind, 0, message=message)


@pytest.fixture
def scheduled(tmp_path):
    machine = chosen(1)
    server = Scheduled(
        tmp_path / "state.db", fleet_with(a_schedule(scenario="", power="reboot"), machine)
    )
    server.calls = AgentCalls(server.plane, server.database)
    server.at(NOW)
    server.at(DUE)
    yield server
    server.close()


@pytest.fixture
def armed(tmp_path):
    """A machine whose installed system has to restart for approved work."""
    server = LoopServer(tmp_path / "state.db", a_fleet(NODE))
    server.calls = AgentCalls(server.plane, server.database)
    server.reports(NODE)
    server.reports(NODE, installed=True)
    (server.operation,) = server.approve_all()
    server.run()
    assert set(server.states().values()) == {OperationState.ARMED}
    yield server
    server.close()


def waits(server):
    """Return what the operation waited for, and until when."""
    server.loop.delays.write()
    query = select(schema.delay.c.why, schema.delay.c.until).order_by(schema.delay.c.sequence)
    with server.database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_schedules_restart_is_polite_and_over_before_its_window(scheduled):
    work = scheduled.calls.offered("node-01")
    assert work.operation == NAME
    assert work.power == PowerPolicy(grace=300, countdown=30, postponable=3600 - 60 - 30)
    scheduled.now = DUE + HOUR - 3 * MINUTE
    assert scheduled.calls.offered("node-01").power.longest <= 120


def test_what_blocked_and_what_came_of_it_is_the_reason_of_the_machines_part(scheduled):
    calls = scheduled.calls
    assert calls.claim("node-01", NAME, 1, "installed") == 204
    assert calls.event("node-01", NAME, said("progress", "alice is logged in"), "installed") == 204
    asked = "its system was asked to restart"
    assert scheduled.parts()["node-01"] == ("done", f"{asked}: alice is logged in")
    scheduled.at(DUE + MINUTE)
    assert scheduled.parts()["node-01"] == ("done", f"{asked}: alice is logged in")
    outcome = "waited 5 min for alice is logged in; forced\x1b[2J although alice is logged in"
    assert calls.event("node-01", NAME, said("done", outcome), "installed") == 204
    assert scheduled.parts()["node-01"] == (
        "done",
        f"{asked}: waited 5 min for alice is logged in; forced [2J although alice is logged in",
    )


def test_a_restart_that_was_given_up_is_left_out_and_not_asked_for_again(scheduled):
    calls = scheduled.calls
    assert calls.claim("node-01", NAME, 1, "installed") == 204
    failed = OperationEvent(1, 1, "failed", 0, message="given up because bob", code="RW242")
    assert calls.event("node-01", NAME, failed, "installed") == 204
    reason = "its system was asked to restart: given up because bob"
    assert scheduled.parts()["node-01"] == ("left-out", reason)
    scheduled.at(DUE + 2 * MINUTE)
    assert calls.offered("node-01") is None
    assert scheduled.parts()["node-01"] == ("left-out", reason)


@pytest.mark.parametrize("name", ["nightly-20261121T123000Z", "nobody-20261121T123000Z", "x", ""])
def test_what_is_said_of_what_nobody_claimed_changes_nothing(scheduled, name):
    event = said("done", "lies")
    assert scheduled.calls.event("node-01", f"{POWER_PREFIX}{name}", event, "installed") == 204
    assert scheduled.parts()["node-01"][0] == "waiting"


def test_requests_are_found_by_their_names():
    moment = NOW.replace(microsecond=0)
    assert occurrence_of(request_name("a-b-1", moment)) == ("a-b-1", moment)
    assert occurrence_of("a-2026") is None


def test_a_restart_for_work_is_polite_for_as_long_as_there_are_boot_grants(armed):
    work = armed.calls.offered(NODE.name)
    assert work.operation == f"{REBOOT_PREFIX}{armed.operation.op_id}"
    # Five grants of 15 minutes, less one for the end.
    assert work.power == PowerPolicy(grace=300, countdown=30, postponable=75 * 60 - 60 - 30)
    assert work.power.grace == POLITE.grace


def test_people_who_are_waited_for_are_what_the_work_is_put_off_for(armed):
    calls, name = armed.calls, f"{REBOOT_PREFIX}{armed.operation.op_id}"
    assert calls.claim(NODE.name, name, 1, "installed") == 204
    armed.now += timedelta(seconds=5)
    assert calls.event(NODE.name, name, said("progress", "alice is logged in"), "installed") == 204
    armed.now += timedelta(minutes=5)
    outcome = "waited 5 min for alice is logged in; forced although alice is logged in"
    assert calls.event(NODE.name, name, said("done", outcome), "installed") == 204
    assert waits(armed) == [
        ("the people at its machine: alice is logged in", armed.now),
        (f"the restart of its machine ({outcome})", None),
    ]
    armed.now += timedelta(minutes=2)
    assert calls.claim(NODE.name, armed.operation.op_id, 1) == 204
    assert waits(armed)[-1][1] == armed.now


def test_a_restart_goes_on_with_the_next_boot_grant(armed):
    calls, name = armed.calls, f"{REBOOT_PREFIX}{armed.operation.op_id}"
    assert calls.claim(NODE.name, name, 1, "installed") == 204
    armed.now += timedelta(minutes=15, seconds=1)
    armed.run()
    again = calls.offered(NODE.name)
    assert again.attempt == 2
    assert again.power.postponable == 60 * 60 - 60 - 30
    assert calls.event(NODE.name, name, said("progress", "alice"), "installed") == 204


def test_work_that_was_cancelled_calls_the_restart_off(armed):
    calls, name = armed.calls, f"{REBOOT_PREFIX}{armed.operation.op_id}"
    assert calls.claim(NODE.name, name, 1, "installed") == 204
    armed.plane.ledger.move(
        armed.operation.op_id,
        OperationState.ARMED,
        OperationState.CANCELLED,
        attempt=1,
        at=armed.now,
        actor="ada",
        reason="wrong rack",
    )
    armed.loop.follow_ledger()
    assert calls.event(NODE.name, name, said("progress", "alice"), "installed") == 410
    assert calls.event(NODE.name, name, said("failed", "called off"), "installed") == 204
