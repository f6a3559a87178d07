"""What approved work was put off for is kept, with how long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders.loop_server import LoopServer
from builders.world import NOW, a_fleet, a_machine
from rich.console import Console

from providers.imaging.errors import NoSpaceError
from reconciler.app.status import conditions_of
from reconciler.app.watched_operations import WatchedOperations
from reconciler.errors import StateError
from reconciler.loop.delays import DelayLog
from reconciler.server.store_waits import StoreWaits
from reconciler.state.delays import Change, Delay, Delays
from reconciler.state.hardware import FleetHardware
from reconciler.state.machine_history import MachineHistory
from reconciler.state.operation_states import OperationState
from reconciler.state.runs import Runs
from reconciler.state.world import observe
from reconciler.views.machine_details import operation_document
from reconciler.views.progress import phase
from reconciler.views.run_text import run_parts

MACHINES = [a_machine(number, "clone-golden") for number in (1, 2, 3)]
BUDGET = "the fleet's destructive budget (1 at once)"


@pytest.fixture
def server(tmp_path):
    found = LoopServer(tmp_path / "rackwright.db", a_fleet(*MACHINES, at_once=1, per_hour=100))
    found.reports(*MACHINES)
    found.operations = found.approve_all()
    found.run()
    found.loop.delays.write()
    yield found
    found.close()


def history(server):
    op_ids = [each.op_id for each in server.operations]
    found = MachineHistory(server.database).of_operations(op_ids)
    return {each.operation.machine: each for each in found}


def fail(server, machine):
    (status,) = server.loop.work_of(machine.name)
    server.plane.fail(status, "RW000: it broke", "test")
    server.run()
    server.loop.delays.write()


def test_it_is_known_since_when_work_waits_for_what(server):
    first, second, _ = MACHINES
    assert history(server)[first.name].delays == ()
    assert history(server)[second.name].delays == (Delay(BUDGET, NOW, None),)
    server.now += timedelta(minutes=9)
    seen = observe(server.database, MACHINES, server.outside.images(), server.now)
    hardware = FleetHardware(MACHINES)
    (state,) = conditions_of(server.loop.fleet, [second], hardware, seen, server.now)
    assert state.reason == f"restore: approved, waits for {BUDGET}, since 2026-11-21 12:00 UTC"


def test_when_its_turn_comes_the_time_that_it_waited_is_kept(server):
    first, second, third = MACHINES
    server.now += timedelta(minutes=9)
    fail(server, first)
    assert history(server)[second.name].delays == (Delay(BUDGET, NOW, server.now),)
    assert history(server)[third.name].delays == (Delay(BUDGET, NOW, None),)
    document = operation_document(history(server)[second.name], server.now)
    assert document["delays"] == [
        {"why": BUDGET, "since": NOW.isoformat(), "until": server.now.isoformat()}
    ]


def test_a_run_says_what_its_machines_waited_for(server):
    server.now += timedelta(minutes=9)
    fail(server, MACHINES[0])
    runs = Runs(server.database)
    (summary,) = runs.newest(1, ("apply",))
    console = Console(width=100)
    with console.capture() as capture:
        for part in run_parts(summary, history(server).values(), {}, server.now):
            console.print(part)
    text = capture.get()
    assert f"  waited 9 min for {BUDGET}\n" in text
    assert f"  waits 9 min for {BUDGET}\n" in text


def test_what_is_taken_from_a_machine_waits_no_more(server):
    third = MACHINES[2]
    (status,) = server.loop.work_of(third.name)
    server.now += timedelta(minutes=1)
    server.loop.ledger.move(
        status.operation.op_id,
        OperationState.APPROVED,
        OperationState.CANCELLED,
        attempt=0,
        at=server.now,
        actor="ada",
        reason="not now",
    )
    server.run()
    server.loop.delays.write()
    assert history(server)[third.name].delays == (Delay(BUDGET, NOW, server.now),)


def test_a_server_that_begins_anew_does_not_count_a_delay_twice(server):
    server.loop.delays = DelayLog(Delays(server.database))
    server.now += timedelta(minutes=5)
    server.use(server.loop.fleet)
    server.run()
    assert server.loop.delays.write() is False
    assert history(server)[MACHINES[1].name].delays == (Delay(BUDGET, NOW, None),)


def test_what_cannot_be_written_now_is_written_later():
    written, fails = [], [True]

    class Refusing:
        def present(self):
            return {}

        def record(self, changes):
            if fails:
                raise StateError("RW705", "another process writes", "wait")
            written.extend(changes)

    log = DelayLog(Refusing())
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(600):
        log.note(f"op{number}", "a window", at)
    log.note("op0", "a window", at)
    with pytest.raises(StateError):
        log.write()
    fails.clear()
    assert [log.write(), log.write(), log.write()] == [True, True, False]
    assert written == [Change(f"op{number}", "a window", at) for number in range(600)]


# --- a full image store ------------------------------------------------------------------

STORE = Path("/var/lib/rackwright/store")
FULL = NoSpaceError(STORE, 100, 7_000, 5_000)
ROOM_THERE = f"room in the image store {STORE} (7,000 bytes are free, 5,000 are kept in reserve)"


def waits_of(server):
    server.loop.delays.write()
    return history(server)[MACHINES[0].name].delays


@pytest.fixture
def started(server):
    first = MACHINES[0]
    answer = server.boots_over_the_network(first)
    assert server.plane.claim(first.name, answer.grant.operation, answer.grant.attempt)
    server.run()
    return answer.grant.operation


def after(server, seconds):
    server.now += timedelta(seconds=seconds)
    return server.now


def test_work_that_meets_a_full_store_waits_from_its_first_refusal_until_none_is_left(
    server, started
):
    room = StoreWaits(server.loop.delays, NOW)
    assert room.is_empty
    assert room.refused(started, FULL, after(server, 1))
    began = server.now
    assert not room.refused(started, NoSpaceError(STORE, 100, 5_050, 5_000), after(server, 20))
    room.served(started, after(server, 10))  # a smaller chunk
    assert waits_of(server) == (Delay(ROOM_THERE, began, None),)
    room.served(started, after(server, 60))
    assert room.is_empty
    assert waits_of(server) == (Delay(ROOM_THERE, began, server.now),)


def test_status_and_whoever_follows_the_work_say_what_it_waits_for(server, started):
    StoreWaits(server.loop.delays, NOW).refused(started, FULL, server.now)
    server.loop.delays.write()
    first = MACHINES[0]
    seen = observe(server.database, MACHINES, server.outside.images(), server.now)
    (state,) = conditions_of(server.loop.fleet, [first], FleetHardware(MACHINES), seen, server.now)
    assert state.condition == "Reconciling"
    assert state.reason == (f"restore: started, waits for {ROOM_THERE}, since 2026-11-21 12:00 UTC")
    watched = WatchedOperations(server.database, [started])
    (status,) = watched.look()
    waits = watched.waits([status])[started]
    assert phase(status, waits) == f"inspect disks (1/4), waits for {ROOM_THERE}"


def test_a_server_that_begins_anew_knows_which_captures_wait_for_room(server, started):
    StoreWaits(server.loop.delays, NOW).refused(started, FULL, server.now)
    server.loop.delays.write()
    room = StoreWaits(DelayLog(Delays(server.database)), after(server, 5))
    assert not room.is_empty
    assert not room.refused(started, FULL, after(server, 5))


def test_what_waited_for_room_when_it_ended_is_forgotten(server, started):
    room = StoreWaits(server.loop.delays, NOW)
    room.refused(started, FULL, server.now)
    after(server, 60)
    fail(server, MACHINES[0])
    assert waits_of(server) == (Delay(ROOM_THERE, NOW, server.now),)
    second = server.operations[1].op_id
    room.refused(second, FULL, server.now)
    room.served(second, after(server, 60))
    assert room.is_empty


AWAY = "the image store /state/store (its folder is empty or not there)"


def test_approved_work_waits_for_a_store_that_is_away_and_goes_on_when_it_is_back(tmp_path):
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(*MACHINES, at_once=3))
    server.reports(*MACHINES)
    server.outside.store_away = AWAY
    server.operations = server.approve_all()
    images, server.outside._images = server.outside._images, {}  # it was away at the start, too
    server.run()
    server.loop.delays.write()
    for machine in MACHINES:
        (status,) = server.loop.work_of(machine.name)
        assert status.state is OperationState.APPROVED
        assert history(server)[machine.name].delays == (Delay(AWAY, NOW, None),)
    server.now += timedelta(hours=2)
    server.outside._images, server.outside.store_away = images, ""
    server.loop.store_is_back()
    server.run()
    assert {
        status.state for machine in MACHINES for status in server.loop.work_of(machine.name)
    } == {OperationState.ARMED}
    server.close()


def test_status_says_that_approved_work_waits_for_the_store(tmp_path):
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(*MACHINES, at_once=3))
    server.reports(*MACHINES)
    server.approve_all()
    seen = observe(server.database, MACHINES, server.outside.images(), server.now)
    seen = replace(seen, store_problem="RW444: it is away")
    (state,) = conditions_of(
        server.loop.fleet, MACHINES[:1], FleetHardware(MACHINES), seen, server.now
    )
    assert "waits for the image store, which is away" in state.reason
    server.close()
