"""Schedules on the loop: what is begun, waits, is left out, and what a crash does to that."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from builders.loop_server import LoopServer
from builders.world import CAPTURE, CLONE, HERE, NOW, a_fleet, a_machine

from reconciler.errors import StateError
from reconciler.loop.schedules import Schedules
from reconciler.planning.planner import plan
from reconciler.state.hardware import FleetHardware
from reconciler.state.operation_states import OperationState
from reconciler.state.runs import Runs, scheduled_run
from reconciler.state.schedule_history import ScheduleHistory
from reconciler.state.world import observe
from specs.fleet import (
    CompiledHold,
    CompiledSchedule,
    CompiledWindow,
    CompiledWindows,
)

_S = OperationState
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DUE = NOW + 30 * MINUTE
"""The schedule's next moment: 21:30 in Tokyo."""


def a_schedule(**changes):
    schedule = CompiledSchedule(
        name="nightly",
        scenario=CAPTURE.name,
        power="",
        at=None,
        cron="30 21 * * *",
        time_zone="Asia/Tokyo",
        window_seconds=3600,
        missed="skip",
        holidays=(),
        holiday_action="skip",
        start_interval_seconds=0,
        jitter_seconds=0,
        approved="",
        position=HERE,
    )
    return schedule._replace(**changes)


def chosen(number, *scenarios, **changes):
    return a_machine(number, *scenarios, **{"schedules": ("nightly",), **changes})


def fleet_with(schedule, *machines, **changes):
    fleet = a_fleet(*machines, at_once=9)
    return replace(fleet, schedules={schedule.name: schedule}, **changes)


class Scheduled(LoopServer):
    """The loop with schedules; ``restart`` forgets all that is only in memory."""

    def __init__(self, path, fleet):
        super().__init__(path, fleet)
        self.restart()

    def restart(self):
        self.requests = self.plane.power_requests
        self.requests.clear()
        self.schedules = Schedules(
            self.database, self.loop, self.requests, self.outside, lambda: self.now
        )

    def at(self, moment):
        self.now = moment
        for steps in range(2_000):
            if not self.schedules.step():
                return steps
        raise AssertionError("schedules do not come to rest")

    def history(self):
        return ScheduleHistory(self.database)

    def newest(self):
        return self.history().newest("nightly", 1)[0]

    def parts(self, moment=None):
        return {
            name: (part.state, part.reason)
            for each in self.history().newest("nightly", 9)
            if moment in {None, each.moment}
            for name, part in self.history().machines(each).items()
        }

    def operations(self):
        return [
            (each.operation.machine, each.operation.scenario, each.operation.run, each.state)
            for each in self.plane.ledger.operations()
        ]

    def planned(self):
        fleet = self.loop.fleet
        seen = observe(self.database, fleet.machines.values(), self.outside.images(), self.now)
        return plan(fleet, seen, self.now)


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(schedule, *machines, **changes):
        server = Scheduled(tmp_path / "state.db", fleet_with(schedule, *machines, **changes))
        servers.append(server)
        server.at(NOW)
        return server

    yield start
    for server in servers:
        server.close()


TOKEN = "schedule/nightly/20261121T123000Z"  # noqa: S105 - a run token


def test_a_scenario_is_approved_for_each_machine_when_its_moment_comes(serve):
    server = serve(a_schedule(), chosen(1), chosen(2), a_machine(3))
    server.at(DUE - MINUTE)
    assert server.operations() == []
    server.at(DUE)
    assert server.operations() == [
        (name, CAPTURE.name, TOKEN, _S.APPROVED) for name in ("node-01", "node-02")
    ]
    (run,) = Runs(server.database).newest(9, ["schedule"])
    assert run.run.run_id == "20261121-1230-nightly"
    assert (run.run.actor, run.run.reason) == ("schedule nightly", "2026-11-21 21:30 JST")
    assert run.counts == {_S.APPROVED: 2}
    server.run()
    assert set(server.states().values()) == {_S.ARMED}
    server.at(DUE + HOUR)
    assert server.parts() == {"node-01": ("done", ""), "node-02": ("done", "")}
    assert server.newest().state == "over"
    server.at(DUE + DAY)
    assert len(server.operations()) == 4


def ends(server, machine):
    (status,) = server.loop.work_of(machine)
    for before, after in (
        (_S.APPROVED, _S.ARMED),
        (_S.ARMED, _S.STARTED),
        (_S.STARTED, _S.VERIFIED),
    ):
        server.plane.ledger.move(
            status.operation.op_id, before, after, attempt=1, at=server.now, actor="x", reason=""
        )
    server.loop.follow_ledger()


def test_times_that_overlap_run_once_each_and_plans_read_the_newest(serve):
    server = serve(a_schedule(cron="*/10 * * * *"), chosen(1))
    for minute in range(0, 120, 10):
        server.at(NOW + (minute + 10) * MINUTE)
        ends(server, "node-01")
    assert len(server.operations()) == 12
    assert len(server.loop.operations.current()) == 1
    server.at(server.now + 2 * HOUR)
    over = [each for each in server.history().newest("nightly", 19) if each.state == "over"]
    parts = [part for each in over for part in server.history().machines(each).values()]
    assert {part.state for part in parts} == {"done"}
    assert len(server.operations()) == 13


def test_work_that_documents_assign_and_a_schedules_are_one_queue(serve):
    server = serve(a_schedule(), chosen(1, CLONE.name))
    server.reports(server.loop.fleet.machines["node-01"])
    server.approve_all()
    server.at(DUE)
    assert [each[1] for each in server.operations()] == [CLONE.name, CAPTURE.name]
    server.run()
    assert [each[3] for each in server.operations()] == [_S.APPROVED, _S.ARMED]


def test_whatever_is_forgotten_when_nothing_runs_twice(serve):
    server = serve(a_schedule(), *(chosen(number) for number in range(1, 6)))
    server.now = DUE
    steps = 0
    while server.schedules.step():
        steps += 1
        if steps % 3 == 0:
            server.restart()
        assert steps < 50
    assert sorted(each[0] for each in server.operations()) == [
        f"node-0{number}" for number in range(1, 6)
    ]
    server.restart()
    server.at(DUE + HOUR)
    assert set(server.parts().values()) == {
        ("left-out", "RW621: it did not begin within the window of its schedule")
    }


def test_a_write_that_fails_anywhere_is_made_up_for(serve, monkeypatch):
    server = serve(a_schedule(), chosen(1), chosen(2))
    server.now = DUE
    real, count = server.database.writing, [0]

    def fails_every_third_time():
        count[0] += 1
        if count[0] % 3 == 1:
            raise StateError("RW705", "the database is locked", "Try again")
        return real()

    monkeypatch.setattr(server.database, "writing", fails_every_third_time)
    for _ in range(40):
        with suppress(StateError):
            if server.schedules.step():
                continue
        server.now += timedelta(seconds=31)
    monkeypatch.undo()
    assert [each[0] for each in server.operations()] == ["node-01", "node-02"]


def test_what_overwrites_disks_needs_the_documents_word(serve):
    machine = chosen(1)
    server = serve(a_schedule(scenario=CLONE.name), machine)
    server.reports(machine)
    (item,) = server.planned().items
    why = "clone-golden overwrites disks, and nobody approved that for each time"
    assert item.risk == "BLOCKED"
    assert item.reason == f"{why} (`approved: destructive`)"
    assert item.unblock.startswith("Write `approved: destructive` into the spec at fleet.yaml:1:1")
    server.at(DUE)
    assert server.operations() == []
    assert server.parts()["node-01"] == ("left-out", item.reason)
    server.use(fleet_with(a_schedule(scenario=CLONE.name, approved="destructive"), machine))
    server.reports(machine)
    assert server.planned().items == ()
    server.at(DUE + DAY - 30 * MINUTE)
    server.reports(machine)
    server.at(DUE + DAY)
    assert [(each[1], each[3]) for each in server.operations()] == [(CLONE.name, _S.APPROVED)]


def test_disks_that_nobody_saw_are_looked_at_first_and_then_it_goes_on(serve):
    machine = chosen(1)
    server = serve(a_schedule(scenario=CLONE.name, approved="destructive"), machine)
    server.at(DUE)
    assert [(each[1], each[3]) for each in server.operations()] == [("inspection", _S.APPROVED)]
    assert server.parts()["node-01"] == (
        "waiting",
        "its disks were never seen; the machine may be in use",
    )
    server.restart()
    server.at(DUE + MINUTE)
    assert server.parts()["node-01"][0] == "waiting"
    server.reports(machine)
    (status,) = server.loop.work_of("node-01")
    for before, after in (
        (_S.APPROVED, _S.ARMED),
        (_S.ARMED, _S.STARTED),
        (_S.STARTED, _S.VERIFIED),
    ):
        server.plane.ledger.move(
            status.operation.op_id, before, after, attempt=1, at=server.now, actor="x", reason=""
        )
    server.loop.follow_ledger()
    server.at(DUE + 2 * MINUTE)
    assert [each[1] for each in server.operations()] == ["inspection", CLONE.name]
    assert server.operations()[1][2:] == (TOKEN, _S.APPROVED)


def test_a_look_that_failed_is_not_repeated_for_the_whole_window(serve):
    server = serve(a_schedule(scenario=CLONE.name, approved="destructive"), chosen(1))
    server.at(DUE)
    (status,) = server.loop.work_of("node-01")
    server.plane.ledger.move(
        status.operation.op_id,
        _S.APPROVED,
        _S.CANCELLED,
        attempt=status.attempt,
        at=server.now,
        actor="ada",
        reason="wrong rack",
    )
    server.loop.follow_ledger()
    server.at(DUE + MINUTE)
    assert server.parts()["node-01"] == (
        "left-out",
        "the look at its disks that came first cancelled: wrong rack",
    )
    assert len(server.operations()) == 1


@pytest.mark.parametrize("change", ["gone", "not selected", "another scenario"])
def test_work_of_a_schedule_that_does_not_want_it_any_more_lapses(serve, change):
    server = serve(a_schedule(), chosen(1))
    server.at(DUE)
    schedule, machine = a_schedule(), chosen(1)
    if change == "gone":
        schedule, machine = a_schedule(name="other"), a_machine(1)
    elif change == "not selected":
        machine = a_machine(1)
    else:
        schedule = a_schedule(scenario="look")
    look = CAPTURE._replace(name="look", digest="e" * 64)
    scenarios = {each.name: each for each in (CAPTURE, CLONE, look)}
    server.use(fleet_with(schedule, machine, scenarios=scenarios))
    server.run()
    ((*_, state),) = server.operations()
    assert state is _S.PLANNED
    status = server.plane.ledger.operations()[0]
    assert "schedule nightly does not run capture-golden here any more" in status.reason
    server.at(DUE + MINUTE)
    if change == "gone":
        assert server.newest().reason == "the schedule is not there any more"


@pytest.mark.parametrize("first", ["schedules", "machines", "restart"])
def test_work_that_lapsed_is_begun_as_it_is_wanted_now_within_the_window(serve, first):
    server = serve(a_schedule(), chosen(1))
    server.at(DUE)
    changed = CAPTURE._replace(digest="e" * 64)
    scenarios = {each.name: each for each in (changed, CLONE)}
    server.use(fleet_with(a_schedule(), chosen(1), scenarios=scenarios))
    if first == "schedules":
        server.at(DUE + MINUTE)  # they look at the new revision before the approval lapses
    server.run()
    assert [each[3] for each in server.operations()] == [_S.PLANNED]
    if first == "restart":
        server.restart()
        server.loop.lapsed.clear()
    server.at(DUE + 2 * MINUTE)
    assert sorted(each[3] for each in server.operations()) == [_S.APPROVED, _S.PLANNED]
    assert server.parts()["node-01"][0] == "begun"
    server.run()
    assert server.loop.has_work("node-01")
    server.at(DUE + HOUR)
    assert server.parts()["node-01"][0] == "done"
    assert server.newest().state == "over"


def test_work_that_lapsed_says_at_once_why_it_waits_and_begins_when_it_may(serve):
    server = serve(a_schedule(), chosen(1))
    server.at(DUE)
    hold = CompiledHold("freeze", DUE + 20 * MINUTE, "ops", "audit", HERE)
    server.use(fleet_with(a_schedule(), chosen(1, holds=("freeze",)), holds=(hold,)))
    server.at(DUE + MINUTE)
    server.run()
    server.at(DUE + 2 * MINUTE)
    assert server.parts()["node-01"] == (
        "waiting",
        "held by ops until 2026-11-21 12:50 UTC: audit",
    )
    server.at(DUE + 21 * MINUTE)
    assert [each[3] for each in server.operations()] == [_S.APPROVED]


def test_work_that_lapses_again_and_again_is_looked_at_twice_a_minute(serve, monkeypatch):
    server = serve(a_schedule(), chosen(1))
    server.at(DUE)
    monkeypatch.setattr("reconciler.loop.reconcile.why_lapsed", lambda *_: "it never fits")
    for _ in range(50):
        server.loop.ask("node-01")
        server.run()
        server.at(server.now + timedelta(seconds=1))
    (status,) = server.plane.ledger.operations()
    lines = server.plane.ledger.history(status.operation.op_id)
    assert [each.state for each in lines].count(_S.APPROVED) == 2


def test_work_that_did_not_begin_within_the_window_is_cancelled_with_the_reason(serve):
    server = serve(a_schedule(), chosen(1))
    server.at(DUE)
    server.at(DUE + HOUR - MINUTE)
    assert server.operations()[0][3] is _S.APPROVED
    server.at(DUE + HOUR)
    assert server.operations()[0][3] is _S.CANCELLED
    assert not server.loop.has_work("node-01")
    assert server.parts()["node-01"] == (
        "left-out",
        "RW621: it did not begin within the window of its schedule",
    )


def test_a_held_machine_waits_and_begins_when_the_hold_is_over(serve):
    hold = CompiledHold("freeze", DUE + 20 * MINUTE, "ops", "audit", HERE)
    server = serve(a_schedule(), chosen(1, holds=("freeze",)), holds=(hold,))
    server.at(DUE)
    assert server.parts()["node-01"] == (
        "waiting",
        "held by ops until 2026-11-21 12:50 UTC: audit",
    )
    server.at(DUE + 21 * MINUTE)
    assert server.operations()[0][3] is _S.APPROVED


def test_machines_begin_one_after_the_other(serve):
    machines = [chosen(number) for number in (1, 2, 3)]
    server = serve(a_schedule(start_interval_seconds=60), *machines)
    for minute, count in ((0, 1), (1, 2), (2, 3)):
        server.at(DUE + minute * MINUTE)
        assert len(server.operations()) == count


def test_what_was_missed_while_the_server_was_off_is_written_down(serve):
    server = serve(a_schedule(), chosen(1))
    server.restart()
    server.at(DUE + 2 * DAY + 2 * HOUR)
    assert server.operations() == []
    found = server.history().newest("nightly", 9)
    assert [(each.moment, each.state, each.reason) for each in found] == [
        (DUE + days * DAY, "left-out", "missed: nothing could begin in its window")
        for days in (2, 1, 0)
    ]


def test_once_is_made_up_for_with_a_window_of_its_own(serve):
    server = serve(a_schedule(missed="run-once"), chosen(1))
    server.restart()
    server.at(DUE + DAY + 2 * HOUR)
    assert [each[2] for each in server.operations()] == ["schedule/nightly/20261122T123000Z"]
    server.at(DUE + DAY + 3 * HOUR - MINUTE)
    assert server.operations()[0][3] is _S.APPROVED


def test_a_clock_that_jumps_a_day_either_way_runs_nothing_twice(serve):
    server = serve(a_schedule(missed="run-once"), chosen(1))
    server.at(DUE)
    server.run()
    server.at(DUE + DAY)  # forward
    assert len(server.operations()) == 2
    server.at(DUE - HOUR)  # and back
    server.at(DUE + MINUTE)
    server.at(DUE + DAY + MINUTE)
    assert len(server.operations()) == 2
    server.at(DUE + 2 * DAY)
    assert len(server.operations()) == 3


def test_a_schedule_that_is_new_or_has_another_rhythm_makes_up_for_nothing(serve):
    server = serve(a_schedule(), chosen(1))
    changed = a_schedule(cron="0 * * * *", missed="run-all")
    server.now = NOW + 2 * DAY
    server.use(fleet_with(changed, chosen(1)))
    server.at(server.now)
    assert server.operations() == []
    server.use(fleet_with(a_schedule(name="other"), a_machine(1)))
    server.at(server.now)
    server.use(fleet_with(changed, chosen(1)))
    server.at(server.now + 10 * DAY)
    assert server.operations() == []


def test_one_moment_counts_while_its_window_is_open_and_is_written_down_after(serve):
    moment = datetime(2026, 11, 21, 11, 30, tzinfo=UTC)
    once = a_schedule(cron="", time_zone="", at=moment)
    assert serve(once, chosen(1)).operations()[0][2] == "schedule/nightly/20261121T113000Z"


def test_one_moment_whose_window_was_over_at_first_sight_is_written_down(serve):
    once = a_schedule(cron="", time_zone="", at=NOW - 2 * HOUR, missed="run-once")
    server = serve(once, chosen(1))
    assert server.operations() == []
    assert server.newest().reason == "its window was over when the server first saw the schedule"


def test_holidays_are_written_down(serve):
    server = serve(a_schedule(holidays=(date(2026, 11, 21),)), chosen(1))
    server.at(DUE)
    assert (server.newest().state, server.newest().reason) == (
        "left-out",
        "2026-11-21 is a holiday",
    )


# --- power ---------------------------------------------------------------------------


def test_machines_are_started_until_they_give_a_sign_of_life(serve):
    server = serve(a_schedule(scenario="", power="on"), chosen(1), chosen(2))
    server.at(DUE)
    assert server.outside.started == ["node-01", "node-02"]
    server.loop.machines.record_contact(
        server.loop.fleet.machines["node-01"], "installed", server.now + MINUTE
    )
    server.at(DUE + MINUTE)
    assert server.outside.started == ["node-01", "node-02", "node-02"]
    assert server.parts() == {
        "node-01": ("done", "it runs"),
        "node-02": ("waiting", "asked to start; no sign of it since"),
    }
    server.at(DUE + HOUR)
    assert server.parts()["node-02"] == (
        "left-out",
        "its window was over: asked to start; no sign of it since",
    )
    assert server.newest().state == "over"


def test_what_nothing_switches_on_plans_as_blocked_per_machine_and_is_written_down(serve):
    by_hand = chosen(1, power_driver="manual")
    server = serve(a_schedule(scenario="", power="on"), by_hand, chosen(2))
    (item,) = server.planned().items
    assert (item.machine, item.risk.value, item.action) == (
        "node-01",
        "BLOCKED",
        "schedule nightly",
    )
    server.at(DUE)
    assert server.parts()["node-01"] == (
        "left-out",
        "it is switched on by hand (power driver manual)",
    )
    assert server.outside.started == ["node-02"]


@pytest.mark.parametrize(
    ("power", "action", "word"), [("off", "poweroff", "shut down"), ("reboot", "reboot", "restart")]
)
def test_an_installed_system_is_asked_once_through_its_agent(serve, power, action, word):
    server = serve(a_schedule(scenario="", power=power), chosen(1))
    server.at(DUE)
    request = server.requests.wanted("node-01")
    assert (request.name, request.action) == ("nightly-20261121T123000Z", action)
    assert server.outside.told == ["node-01"]
    assert not server.requests.claim("node-01", "another")
    assert server.requests.claim("node-01", request.name)
    assert not server.requests.claim("node-01", request.name)
    assert server.parts()["node-01"] == ("done", f"its system was asked to {word}")
    server.restart()
    server.at(DUE + MINUTE)
    assert server.requests.wanted("node-01") is None
    assert server.newest().state == "over"


def test_power_waits_for_work_that_is_under_way(serve):
    machine = chosen(1, CLONE.name)
    server = serve(a_schedule(scenario="", power="off"), machine)
    server.reports(machine)
    (operation,) = server.approve_all()
    server.run()
    server.at(DUE)
    reason = f"operation {operation.op_id[:12]} (clone-golden) is under way there"
    assert server.parts()["node-01"] == ("waiting", reason)
    assert server.requests.wanted("node-01") is None
    server.at(DUE + HOUR)
    assert server.parts()["node-01"] == ("left-out", f"its window was over: {reason}")


def test_work_that_began_meanwhile_takes_the_question_back(serve):
    machine = chosen(1, CLONE.name)
    server = serve(a_schedule(scenario="", power="off"), machine)
    server.at(DUE)
    request = server.requests.wanted("node-01")
    server.reports(machine)
    server.approve_all()
    server.run()
    assert not server.requests.claim("node-01", request.name)
    assert server.parts()["node-01"][0] == "waiting"


def test_nobody_is_asked_to_shut_down_outside_the_windows(serve):
    night = CompiledWindows(
        "Asia/Tokyo", (CompiledWindow(tuple(range(7)), 22 * 60, 300),), (), (), HERE
    )
    server = serve(a_schedule(scenario="", power="off"), chosen(1), windows={"": night})
    server.at(DUE)
    assert server.requests.wanted("node-01") is None
    assert server.parts()["node-01"] == (
        "waiting",
        "outside its windows (allow 22:00-05:00 in Asia/Tokyo) until 2026-11-21 22:00 JST",
    )
    server.at(DUE + 31 * MINUTE)
    assert server.requests.wanted("node-01") is not None


def test_two_moments_of_one_minute_are_two_runs():
    ids = {scheduled_run("nightly", NOW + timedelta(seconds=each)) for each in (0, 1, 30, 60)}
    assert ids == {
        "20261121-1200-nightly",
        "20261121-120001-nightly",
        "20261121-120030-nightly",
        "20261121-1201-nightly",
    }


# --- machines that were renamed -------------------------------------------------------------


def renamed(server, **changes):
    """Have the fleet's machines renamed, with whatever else changes, as a commit does."""
    machines = [
        replace(each, name=names.get(each.name, each.name))
        for names in [changes.pop("names")]
        for each in server.loop.fleet.machines.values()
    ]
    fleet = replace(server.loop.fleet, machines={each.name: each for each in machines}, **changes)
    server.loop.use(fleet, FleetHardware(machines))


def test_a_machine_that_is_renamed_is_not_worked_on_twice_at_one_moment(serve):
    schedule = a_schedule(window_seconds=7200, cron="30 21,22 * * *")
    server = serve(schedule, chosen(1), chosen(2))
    for moment in (DUE, DUE + HOUR):
        server.at(moment)
        for name in ("node-01", "node-02"):
            ends(server, name)
    before = len(server.operations())
    scenario = server.loop.fleet.scenarios[CAPTURE.name]
    renamed(
        server,
        names={"node-01": "db-1"},
        scenarios={CAPTURE.name: scenario._replace(digest="e" * 64)},
    )
    server.at(DUE + HOUR + MINUTE)
    assert len(server.operations()) == before
    assert {name for name in server.parts() if name != "node-02"} == {"db-1"}
    assert {state for state, _ in server.parts(DUE + HOUR).values()} <= {"begun", "done"}


def test_a_machine_that_is_renamed_is_restarted_once(serve):
    schedule = a_schedule(power="reboot", scenario="", start_interval_seconds=120)
    server = serve(schedule, chosen(1), chosen(2))
    server.at(DUE)
    request = server.requests.wanted("node-01")
    assert server.requests.claim("node-01", request.name)
    renamed(server, names={"node-01": "db-1"})
    server.at(DUE + MINUTE)
    assert server.requests.wanted("db-1") is None
    assert server.parts()["db-1"] == ("done", "its system was asked to restart")
    assert "node-01" not in server.parts()


def test_another_machine_that_gets_the_name_has_its_own_part(serve):
    schedule = a_schedule(power="reboot", scenario="")
    server = serve(schedule, chosen(1), chosen(2))
    server.at(DUE)
    assert server.requests.claim("node-01", server.requests.wanted("node-01").name)
    machines = server.loop.fleet.machines
    other = replace(machines["node-02"], name="node-01")
    fleet = replace(server.loop.fleet, machines={"node-01": other})
    server.loop.use(fleet, FleetHardware([other]))
    server.at(DUE + MINUTE)
    assert server.requests.wanted("node-01") is not None
    gone = machines["node-01"].hardware_identity
    assert server.parts()[gone] == ("done", "its system was asked to restart")
