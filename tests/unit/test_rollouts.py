"""Disks are overwritten wave by wave, and what has to hold before the next wave begins."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from math import ceil
from pathlib import Path

import pytest
from attrs import evolve
from builders.loop_server import LoopServer
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report, an_installed_system
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from sqlalchemy import text

from reconciler.app import rollouts as app
from reconciler.app.status import conditions_of
from reconciler.authoring.explanation import chosen as shown
from reconciler.authoring.explanation import explained
from reconciler.errors import StateError
from reconciler.loop.rollout_moves import Finish, Halt, OpenWave, next_move
from reconciler.loop.rollouts import AT_ONCE, RolloutRunner
from reconciler.planning.estimate import budget_of
from reconciler.planning.plan import plan_of
from reconciler.planning.rollouts import planned_rollouts, wave_places
from reconciler.state.database import BRIEF, open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import OperationState
from reconciler.state.rollouts import Member, Rollout, Rollouts, RolloutTerms, leave_rollouts
from reconciler.state.runs import run_of
from reconciler.state.world import observe
from reconciler.views.plan_markdown import plan_markdown
from reconciler.views.plan_words import conditions, rollout
from reconciler.views.rollout_text import rollout_parts
from specs.compile.fleet import compile_fleet
from specs.diagnostics.position import Position
from specs.fleet import CompiledRollout, CompiledSelector, CompiledWave, HealthCheck

_S = OperationState
AT = Position("f.yaml", 1, 1)


def percent(number, name=""):
    return CompiledWave(name, number, None)


def chosen(*machines, groups=(), labels=None, name=""):
    return CompiledWave(name, 0, CompiledSelector(machines, groups, labels or {}))


def terms(*waves, max_failures=0, **health):
    return CompiledRollout(waves, HealthCheck(**health), max_failures, AT)


def machines_of(groups):
    return [
        a_machine(number, "clone-golden", group=group, groups=_path(group))
        for number, group in enumerate(groups, 1)
    ]


def _path(group):
    parts = group.split("/")
    return tuple("/".join(parts[: depth + 1]) for depth in range(len(parts)))


def names(planned):
    return [[wave.name, *wave.machines] for each in planned for wave in each.waves]


# --- who is in which wave -------------------------------------------------------------


def test_a_canary_then_a_share_then_the_rest_in_the_order_of_names():
    machines = machines_of(["a"] * 10)
    canary = machines[4].name
    fleet = replace(
        a_fleet(*machines), rollouts={"": terms(chosen(canary, name="canary"), percent(30))}
    )
    all_names = [each.name for each in machines]
    left = [each for each in all_names if each != canary]
    assert names(planned_rollouts(fleet, all_names)) == [
        ["canary", canary],
        ["30 %", *left[:2]],
        ["the rest", *left[2:]],
    ]


def test_the_nearest_group_says_the_waves_and_a_share_is_of_its_machines_with_work():
    machines = machines_of(["a", "a", "a/b", "a/b", "c"])
    said = {"a": terms(percent(50)), "a/b": terms(chosen(groups=("a",)))}
    fleet = replace(a_fleet(*machines), rollouts=said, groups=("a", "a/b", "c"))
    found = planned_rollouts(fleet, [each.name for each in machines])
    one, two, three, four, _ = (each.name for each in machines)
    assert [each.group for each in found] == ["a", "a/b"]
    assert names(found) == [["50 %", one], ["the rest", two], ["a", three, four]]
    assert names(planned_rollouts(fleet, [two])) == [["50 %", two]]


@given(
    st.lists(st.sampled_from(["a", "a/b", "c"]), min_size=1, max_size=20),
    st.lists(st.integers(1, 100), max_size=4, unique=True).map(sorted),
)
def test_every_machine_is_in_exactly_one_wave_and_shares_add_up(groups, shares):
    machines = machines_of(groups)
    fleet = replace(a_fleet(*machines), rollouts={"": terms(*map(percent, shares))})
    found = planned_rollouts(fleet, [each.name for each in machines])
    (rollout,) = found
    members = [name for wave in rollout.waves for name in wave.machines]
    assert sorted(members) == sorted(each.name for each in machines)
    assert set(wave_places(found)) == set(members)
    total = 0
    for share in shares:
        wave = next((each for each in rollout.waves if each.name == f"{share} %"), None)
        total += len(wave.machines) if wave else 0
        assert total == ceil(len(machines) * share / 100)


# --- what follows ---------------------------------------------------------------------


def a_rollout(waves=3, wave=1, max_failures=0):
    known = RolloutTerms(
        tuple(f"w{each}" for each in range(1, waves + 1)), HealthCheck(), max_failures
    )
    return Rollout("r", "run", "", NOW, known, wave, "running", NOW, "")


def a_member(outcome, number=1, reason=""):
    return Member(f"{number:032x}", f"m{number}", 1, outcome, reason, "", _S.VERIFIED, NOW)


OUTCOMES = st.lists(st.sampled_from(["", "healthy", "failed", "withdrawn", "accepted"]), min_size=1)


@given(OUTCOMES, st.integers(0, 3), st.lists(st.just("old"), max_size=3), st.booleans())
def test_a_wave_opens_only_when_nobody_is_under_way_few_failed_and_somebody_is_well(
    outcomes, max_failures, before, more_wait
):
    members = [a_member(each, number) for number, each in enumerate(outcomes)]
    move = next_move(a_rollout(max_failures=max_failures), members, before, more_wait=more_wait)
    failed = outcomes.count("failed") + len(before)
    if failed > max_failures:
        assert isinstance(move, Halt)
    elif "" in outcomes:
        assert move is None
    elif not more_wait:
        assert isinstance(move, Finish)
    elif {"healthy", "accepted"} & set(outcomes):
        assert move == OpenWave(2)
    else:
        assert move == Halt("no machine of wave 1 of 3 (w1) was done")


def test_the_reason_names_who_failed_and_why():
    members = [a_member("healthy", 1), a_member("failed", 2, "RW614: it is silent")]
    move = next_move(a_rollout(), members, (), more_wait=True)
    assert move == Halt("m2 failed: RW614: it is silent")


# --- with the loop and its database ---------------------------------------------------


class Site:
    """A loop with a rollout of six machines, approved as a person does it."""

    def __init__(self, folder, *waves, at_once=100, **more):
        self.machines = machines_of(["a"] * 6)
        fleet = a_fleet(*self.machines, at_once=at_once, per_hour=100)
        fleet = replace(fleet, rollouts={"a": terms(*waves, **more)})
        self.server = LoopServer(folder / "rackwright.db", fleet)
        self.rollouts = Rollouts(self.server.database)
        self.runner = self.new_runner()
        self.server.reports(*self.machines)
        self.approve()

    def new_runner(self):
        return RolloutRunner(self.server.database, self.server.loop, lambda: self.server.now)

    def approve(self):
        operations = self.server.approve_all()
        run = run_of("apply", "ada", self.server.now, "", "r", "d")
        with Ledger(self.server.database).writing() as connection:
            app.begin_within(connection, self.server.loop.fleet, run, operations)
        self.step()

    def step(self):
        for _ in range(4):
            self.server.run()
            self.runner.step()

    @property
    def rollout(self):
        return self.rollouts.newest(1)[0].rollout

    def armed(self):
        states = self.server.states()
        return [each.name for each in self.machines if states[each.name] is _S.ARMED]

    def verify(self, name, *, heard=True):
        (status,) = self.server.loop.work_of(name)
        operation = status.operation
        for before, after in (
            (_S.ARMED, _S.STARTED),
            (_S.STARTED, _S.VERIFIED),
        ):
            self.server.loop.ledger.move(
                operation.op_id, before, after, attempt=1, at=self.server.now, actor="t", reason=""
            )
        machine = self.server.loop.fleet.machines[name]
        if heard:
            self.heard(machine, operation.op_id)
        self.step()

    def heard(self, machine, op_id):
        report = a_report(
            machine, a_disk(machine.name), installed=an_installed_system(machine, op_id)
        )
        self.server.loop.machines.record_report(machine, report, self.server.now)

    def fail(self, name):
        (status,) = self.server.loop.work_of(name)
        self.server.plane.fail(status, "RW000: it broke", "test")
        self.step()

    def resume(self, reason):
        app.resume(self.server.database, self.rollout, "ada", reason, self.server.now)

    def why(self, machine):
        fleet = self.server.loop.fleet
        seen = observe(
            self.server.database, self.machines, self.server.outside.images(), self.server.now
        )
        hardware = FleetHardware(self.machines)
        (state,) = conditions_of(fleet, [machine], hardware, seen, self.server.now)
        return state.reason


@pytest.fixture
def site(tmp_path):
    sites = []

    def begin(*waves, **more):
        sites.append(Site(tmp_path, *waves, **more))
        return sites[-1]

    yield begin
    for each in sites:
        each.server.close()


def test_only_the_open_wave_begins_and_each_opens_when_the_one_before_is_well(site):
    found = site(percent(16, "canary"), percent(50))
    every = [each.name for each in found.machines]
    assert found.armed() == every[:1]
    assert found.why(found.machines[1]).endswith(
        f"waits for its turn in rollout {found.rollout.rollout_id}: it is in wave 2 of 3 (50 %), "
        "and wave 1 (canary) comes first"
    )
    found.verify(every[0])
    assert found.armed() == every[1:3]
    found.verify(every[1])
    assert found.armed() == every[2:3]
    found.verify(every[2])
    assert found.armed() == every[3:]
    for name in every[3:]:
        found.verify(name)
    assert (found.rollout.state, found.rollout.reason) == ("done", "no machine is left")
    events = [each.what for each in found.rollouts.events(found.rollout.rollout_id)]
    assert events == ["begun", "opened", "opened", "done"]


def test_what_waits_for_its_wave_holds_up_nothing_else_on_its_machine(site):
    found = site(percent(16))
    second, third = found.machines[1:3]
    found.server.now += timedelta(minutes=1)
    _, run = found.server.run_by_hand("clone-golden", second)
    assert "waits for" not in found.why(second)
    found.server.run()
    states = {
        each.operation.run: each.state
        for each in found.server.loop.operations.of_hardware(second.hardware_identities)
    }
    assert states == {"1": _S.APPROVED, f"by-hand/{run.run_id}": _S.ARMED}
    assert found.why(third).startswith("restore: approved, waits for its turn in rollout ")


def test_work_behind_other_work_of_its_machine_says_behind_which(site):
    found = site(percent(50))
    first = found.machines[0]
    found.server.now += timedelta(minutes=1)
    found.server.run_by_hand("clone-golden", first)
    assert found.why(first) == "restore: approved, waits for clone-golden run 1 on this machine"


def test_a_failure_halts_it_and_what_has_begun_goes_on(site):
    found = site(percent(50))
    every = [each.name for each in found.machines]
    found.fail(every[0])
    assert found.rollout.state == "halted"
    assert found.rollout.reason == f"{every[0]} failed: RW000: it broke"
    assert found.armed() == every[1:3]
    found.verify(every[1])
    found.verify(every[2])
    assert found.armed() == []
    assert "which is halted" in found.why(found.machines[3])


def test_nothing_approved_of_a_wave_begins_once_it_is_halted(site):
    found = site(percent(50))
    app.halt(found.server.database, found.rollout, "ada", "look at it", found.server.now)
    found.server.loop.use(found.server.loop.fleet, found.server.loop.hardware)
    late = found.machines[4]
    found.step()
    assert late.name not in found.armed()
    assert found.rollout.reason == "ada says: look at it"


def test_resuming_accepts_what_failed_and_goes_on_by_itself(site):
    found = site(percent(16))
    every = [each.name for each in found.machines]
    found.fail(every[0])
    found.resume("a broken fan")
    found.step()
    assert found.armed() == every[1:]
    (canary, *_) = found.rollouts.members(found.rollout.rollout_id)
    assert (canary.outcome, canary.reason) == ("accepted", "RW000: it broke")
    with pytest.raises(StateError, match=r"RW656: rollout .* cannot be resumed: it is not halted"):
        found.resume("again")


def test_what_waited_for_a_budget_when_it_was_halted_begins_when_it_is_resumed(site):
    found = site(percent(50), at_once=1)
    every = [each.name for each in found.machines]
    assert found.armed() == every[:1]
    app.halt(found.server.database, found.rollout, "ada", "look", found.server.now)
    found.verify(every[0])
    assert found.armed() == []
    found.resume("all is well")
    found.step()
    assert found.armed() == every[1:2]


def test_more_failures_may_be_allowed_and_count_over_all_waves(site):
    found = site(percent(50), max_failures=1)
    every = [each.name for each in found.machines]
    found.fail(every[0])
    assert found.rollout.state == "running"
    found.verify(every[1])
    found.verify(every[2])
    assert found.armed() == every[3:]
    found.fail(every[3])
    assert found.rollout.reason.startswith(f"{every[0]}, {every[3]} failed: {every[3]}: ")


def test_aborting_cancels_what_has_not_begun_and_nothing_else(site):
    found = site(percent(50))
    every = [each.name for each in found.machines]
    count = app.abort(found.server.database, found.rollout, "ada", "wrong image", found.server.now)
    found.step()
    states = found.server.states()
    assert count == 3
    assert {states[name] for name in every[:3]} == {_S.ARMED}
    assert {states[name] for name in every[3:]} == {_S.CANCELLED}
    assert found.rollout.state == "aborted"
    with pytest.raises(StateError, match="RW656"):
        app.abort(found.server.database, found.rollout, "ada", "again", found.server.now)


def test_a_wave_of_which_nobody_was_done_halts_it_and_is_no_canary(site):
    found = site(percent(16))
    first = found.machines[0].name
    (status,) = found.server.loop.work_of(first)
    found.server.loop.ledger.move(
        status.operation.op_id,
        _S.ARMED,
        _S.PLANNED,
        attempt=1,
        at=found.server.now,
        actor="server",
        reason="RW616: it is held",
    )
    found.step()
    assert found.rollout.state == "halted"
    assert found.rollout.reason == "no machine of wave 1 of 2 (16 %) was done"


def test_what_is_all_cancelled_is_over(site):
    found = site(percent(16))
    for machine in found.machines:
        (status,) = found.server.loop.work_of(machine.name)
        found.server.loop.ledger.move(
            status.operation.op_id,
            status.state,
            _S.CANCELLED,
            attempt=status.attempt,
            at=found.server.now,
            actor="ada",
            reason="not now",
        )
    found.step()
    assert found.rollout.state == "done"
    assert {each.outcome for each in found.rollouts.members(found.rollout.rollout_id)} == {
        "withdrawn"
    }


def test_a_server_that_begins_anew_goes_on_where_the_other_ended(site):
    found = site(percent(16), percent(50))
    every = [each.name for each in found.machines]
    found.verify(every[0])
    found.runner = found.new_runner()
    found.server.use(found.server.loop.fleet)
    found.step()
    assert found.armed() == every[1:3]
    found.verify(every[1])
    found.verify(every[2])
    assert found.armed() == every[3:]


def test_what_is_approved_again_leaves_the_rollout_that_it_waited_in(site):
    found = site(percent(16))
    every = [each.name for each in found.machines]
    (status,) = found.server.loop.work_of(every[5])
    found.server.loop.ledger.move(
        status.operation.op_id,
        _S.APPROVED,
        _S.PLANNED,
        attempt=0,
        at=found.server.now,
        actor="server",
        reason="RW640: it expired",
    )
    before = found.rollout
    found.server.now += timedelta(minutes=1)
    found.approve()
    assert found.rollout.rollout_id != before.rollout_id
    assert sorted(found.armed()) == [every[0], every[5]]
    left = {each.machine: each for each in found.rollouts.members(before.rollout_id)}
    assert left[every[5]].reason == "it was approved anew"


def test_what_becomes_of_a_machine_in_one_rollout_says_nothing_of_another(site):
    found = site(percent(16))
    old = found.rollout
    members = found.rollouts.members(old.rollout_id)
    found.server.now += timedelta(minutes=1)
    run = run_of("apply", "ada", found.server.now, "", "r", "e")
    operations = [found.server.loop.ledger.operations(op_id=each.op_id)[0] for each in members]
    with Ledger(found.server.database).writing() as connection:
        leave_rollouts(connection, [each.op_id for each in members], found.server.now)
        wanted = [each.operation for each in operations]
        app.begin_within(connection, found.server.loop.fleet, run, wanted)
    late = {each.op_id: ("withdrawn", "its approval lapsed") for each in members}
    found.rollouts.conclude(old.rollout_id, late, found.server.now)
    assert found.rollout.rollout_id != old.rollout_id
    assert {each.outcome for each in found.rollouts.members(found.rollout.rollout_id)} == {""}


def test_what_is_approved_again_without_waves_leaves_its_rollout(site):
    found = site(percent(16))
    last = found.machines[5].name
    (status,) = found.server.loop.work_of(last)
    found.server.loop.ledger.move(
        status.operation.op_id,
        _S.APPROVED,
        _S.PLANNED,
        attempt=0,
        at=found.server.now,
        actor="server",
        reason="RW640: it expired",
    )
    found.server.use(replace(found.server.loop.fleet, rollouts={}))
    found.server.approve_all()
    found.server.loop.ask(last)
    found.step()
    assert last in found.armed()


def test_machines_that_wait_for_a_budget_begin_whenever_it_is_resumed(site):
    found = site(percent(50), at_once=1)
    every = [each.name for each in found.machines]
    (status,) = found.server.loop.work_of(every[0])
    app.halt(found.server.database, found.rollout, "ada", "look", found.server.now)
    found.server.run()
    for before, after in ((_S.ARMED, _S.STARTED), (_S.STARTED, _S.VERIFIED)):
        found.server.loop.ledger.move(
            status.operation.op_id,
            before,
            after,
            attempt=1,
            at=found.server.now,
            actor="t",
            reason="",
        )
    found.server.run()
    found.server.now += timedelta(seconds=1)
    found.resume("all is well")  # the runner did not look meanwhile
    found.step()
    assert found.armed() == every[1:2]


def test_resuming_accepts_what_failed_while_it_was_halted(site):
    found = site(percent(50))
    every = [each.name for each in found.machines]
    found.fail(every[0])
    found.fail(every[1])
    found.verify(every[2])
    found.resume("a broken switch")
    found.step()
    assert found.armed() == every[3:]
    became = {each.machine: each for each in found.rollouts.members(found.rollout.rollout_id)}
    for name in every[:2]:
        assert (became[name].outcome, became[name].reason) == ("accepted", "RW000: it broke")


def test_a_halted_rollout_of_which_all_is_cancelled_is_over(site):
    found = site(percent(50))
    found.fail(found.machines[0].name)
    for machine in found.machines[1:]:
        (status,) = found.server.loop.work_of(machine.name)
        found.server.loop.ledger.move(
            status.operation.op_id,
            status.state,
            _S.CANCELLED,
            attempt=status.attempt,
            at=found.server.now,
            actor="ada",
            reason="not now",
        )
    found.step()
    assert found.rollout.state == "done"


def test_a_rollout_whose_last_machine_failed_stays_halted_until_a_person_says_something(site):
    found = site()
    every = [each.name for each in found.machines]
    for name in every[:5]:
        found.verify(name)
    found.fail(every[5])
    found.server.now += timedelta(minutes=1)
    found.step()
    assert found.rollout.state == "halted"
    found.resume("it is being replaced")
    found.step()
    assert (found.rollout.state, found.rollout.reason) == ("done", "no machine is left")


def test_nothing_is_armed_once_halt_has_returned(site, monkeypatch):
    found = site(percent(50), at_once=1)
    second = found.machines[1]
    limit = found.server.loop._budgets.limit

    def halted(work, now):
        if work.machine == second.name and found.rollout.state == "running":
            app.halt(found.server.database, found.rollout, "ada", "stop", found.server.now)
        return limit(work, now)

    (status,) = found.server.loop.work_of(found.machines[0].name)
    found.server.loop.ledger.move(
        status.operation.op_id,
        _S.ARMED,
        _S.CANCELLED,
        attempt=1,
        at=found.server.now,
        actor="ada",
        reason="not now",
    )
    monkeypatch.setattr(found.server.loop._budgets, "limit", halted)
    found.step()
    assert found.rollout.state == "halted"
    assert found.armed() == []


def test_what_was_verified_when_it_was_aborted_was_not_withdrawn(site):
    found = site(percent(50), soak_seconds=900)
    every = [each.name for each in found.machines]
    found.verify(every[0])
    app.abort(found.server.database, found.rollout, "ada", "wrong image", found.server.now)
    became = {
        each.machine: (each.outcome, each.reason)
        for each in found.rollouts.members(found.rollout.rollout_id)
    }
    assert became[every[0]] == ("accepted", "its work is verified, its health was not seen")
    assert became[every[1]][0] == ""  # it is armed, and goes on
    assert became[every[5]] == ("withdrawn", "the rollout was aborted: wrong image")


# --- health ---------------------------------------------------------------------------


def test_a_machine_is_left_at_work_before_its_agent_has_to_be_there_still(site):
    found = site(percent(16), soak_seconds=900)
    first, second = (each.name for each in found.machines[:2])
    found.verify(first)
    assert found.runner.looks() == ()
    assert found.armed() == []
    found.server.now += timedelta(seconds=900)
    found.server.loop.machines.record_contact(found.machines[0], "installed", found.server.now)
    (look,) = found.runner.looks()
    assert look.machine == first
    assert found.runner.looks() == ()
    found.runner.looked(look, "")
    found.step()
    assert second in found.armed()


def test_a_machine_that_is_not_reached_after_its_work_has_failed(site):
    found = site(percent(16), soak_seconds=900, within_seconds=60)
    found.verify(found.machines[0].name)
    found.server.now += timedelta(seconds=900)
    for _ in range(6):
        assert found.rollout.state == "running"
        assert found.runner.looks() == ()
        found.server.now += timedelta(seconds=10)
        found.step()
    assert found.rollout.state == "halted"
    assert found.rollout.reason.endswith(
        "RW657: not healthy within 1m (health.within): its agent was not heard "
        "since 2026-11-21 12:00:00 UTC"
    )


def test_a_machine_is_asked_again_until_it_is_well_or_the_time_is_over(site):
    found = site(percent(16), url="http://{address}/", within_seconds=60)
    first, second = (each.name for each in found.machines[:2])
    found.verify(first)
    for problem in ("it answered 503", "it answered 503", ""):
        found.server.loop.machines.record_contact(found.machines[0], "installed", found.server.now)
        (look,) = found.runner.looks()
        assert (look.hostname, look.address) == (first, str(found.machines[0].addresses[0].ip))
        found.runner.looked(look, problem)
        found.server.now += timedelta(seconds=10)
    found.step()
    assert second in found.armed()


def states(found):
    """Return condition, further conditions and reason of the first machine."""
    server, hardware = found.server, FleetHardware(found.machines)
    fleet = server.loop.fleet
    observed = observe(server.database, found.machines, {}, server.now, hardware)
    (state,) = conditions_of(fleet, found.machines[:1], hardware, observed, server.now)
    return state.condition, tuple(each.type for each in state.further), state.reason


@pytest.mark.parametrize("decide", [app.resume, app.abort])
def test_a_machine_that_failed_its_health_check_is_not_ready_until_a_person_decides(site, decide):
    found = site(percent(16), url="http://{address}/", within_seconds=1)
    found.verify(found.machines[0].name)
    assert states(found)[:2] == ("Ready", ())
    found.server.loop.machines.record_contact(found.machines[0], "installed", found.server.now)
    (look,) = found.runner.looks()
    found.server.now += timedelta(seconds=2)
    found.runner.looked(look, "it answered 503")
    found.step()
    assert found.rollout.state == "halted"
    condition, further, reason = states(found)
    assert (condition, further) == ("Stalled", ("Unhealthy",))
    assert reason == (
        f"it failed its health check in rollout {found.rollout.rollout_id}: "
        "RW657: not healthy within 1s (health.within): it answered 503"
    )
    decide(found.server.database, found.rollout, "ada", "a known fault", found.server.now)
    assert states(found)[:2] == ("Ready", ())


def test_a_machine_that_was_verified_after_all_did_not_fail_a_health_check(site):
    found = site(percent(16), soak_seconds=900)
    name = found.machines[0].name
    found.fail(name)
    found.step()
    assert found.rollout.state == "halted"
    database = found.server.database
    with database.writing() as connection:
        connection.execute(
            text("UPDATE current_operation SET state = 'verified' WHERE machine = :name"),
            {"name": name},
        )
    assert Rollouts(database).unhealthy() == {}


def verified(folder, count, *, heard=True, **health):
    """Return a server whose machines' work is verified, their rollout's runner, and them."""
    machines = machines_of(["a"] * count)
    fleet = a_fleet(*machines, at_once=100, per_hour=100)
    server = LoopServer(folder / "rackwright.db", replace(fleet, rollouts={"": terms(**health)}))
    server.reports(*machines)
    operations = server.approve_all()
    run = run_of("apply", "ada", NOW, "", "r", "d")
    with Ledger(server.database).writing() as connection:
        app.begin_within(connection, server.loop.fleet, run, operations)
    server.run()
    runner = RolloutRunner(server.database, server.loop, lambda: server.now)
    runner.step()
    for each, machine in zip(operations, machines, strict=True):
        for before, after in ((_S.ARMED, _S.STARTED), (_S.STARTED, _S.VERIFIED)):
            server.loop.ledger.move(
                each.op_id, before, after, attempt=1, at=NOW, actor="t", reason=""
            )
        if heard:
            system = an_installed_system(machine, each.op_id)
            server.loop.machines.record_report(machine, a_report(machine, installed=system), NOW)
    runner.step()
    return server, runner, machines


def go_on(server, runner, machines, seconds=10):
    server.now += timedelta(seconds=seconds)
    for each in machines:
        server.loop.machines.record_contact(each, "installed", server.now)
    runner.step()


def test_all_machines_are_asked_in_turn_a_few_at_once(tmp_path):
    server, runner, machines = verified(tmp_path, 3 * AT_ONCE, url="http://x/")
    asked = Counter()
    for _ in range(9):
        looks = runner.looks()
        assert len(looks) == AT_ONCE
        assert runner.looks() == ()
        asked.update(each.machine for each in looks)
        for each in looks:
            runner.looked(each, "it answered 503")
        go_on(server, runner, machines)
    assert set(asked.values()) == {3}
    server.close()


def test_machines_that_are_silent_are_looked_at_a_few_at_a_time(tmp_path):
    server, runner, machines = verified(tmp_path, 2 * AT_ONCE, heard=False, soak_seconds=1)
    server.now += timedelta(minutes=1)
    server.asked()
    assert runner.looks() == ()
    statements = len(server.asked())
    assert runner.looks() == ()
    assert len(server.asked()) == statements
    runner.step()
    (first, *_, last) = runner._rollouts.members(runner._rollouts.newest(1)[0].rollout.rollout_id)
    assert first.problem == last.problem == "its agent was not heard at all"
    assert len(machines) == 2 * AT_ONCE
    server.close()


def test_a_look_that_never_comes_back_is_done_again(tmp_path):
    server, runner, machines = verified(tmp_path, 1, url="http://x/")
    (lost,) = runner.looks()
    go_on(server, runner, machines, 100)
    assert runner.looks() == ()
    go_on(server, runner, machines, 30)
    (again,) = runner.looks()
    assert again == lost
    server.close()


def test_a_look_is_lost_neither_by_a_locked_database_nor_by_a_halt(tmp_path):
    server, runner, machines = verified(tmp_path, 2, url="http://x/")
    rollouts = Rollouts(server.database)
    first, second = runner.looks()
    rollout = rollouts.active()[0]
    app.halt(server.database, rollout, "ada", "look", server.now)
    runner.step()
    runner.looked(first, "")  # comes back while it is halted
    app.resume(server.database, rollouts.active()[0], "ada", "go on", server.now)
    go_on(server, runner, machines)
    assert {each.machine for each in runner.looks()} == {first.machine, second.machine}
    runner.looked(first, "")
    runner.looked(second, "")
    with closing(sqlite3.connect(tmp_path / "rackwright.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match="RW705"):
            RolloutRunnerOf(server, runner).step()
        other.rollback()
    runner.step()
    assert rollouts.newest(1)[0].rollout.state == "done"
    server.close()


def RolloutRunnerOf(server, runner):  # noqa: N802 - the same runner, on a database that is brief
    runner._rollouts = Rollouts(open_database(server.database._path, BRIEF))
    return runner


def test_a_clock_that_is_set_back_keeps_nobody_from_being_asked(tmp_path):
    server, runner, machines = verified(tmp_path, 1, url="http://x/")
    (look,) = runner.looks()
    runner.looked(look, "it answered 503")
    go_on(server, runner, machines, -86_400)
    assert len(runner.looks()) == 1
    server.close()


def test_a_machine_is_left_at_work_only_while_the_server_can_hear(tmp_path):
    server, runner, machines = verified(tmp_path, 1, soak_seconds=900)
    runner._hears_since = lambda: NOW + timedelta(hours=1)  # it was away until then
    go_on(server, runner, machines, 3600 + 899)
    assert runner.looks() == ()
    go_on(server, runner, machines, 1)
    assert len(runner.looks()) == 1
    server.close()


@pytest.mark.parametrize(
    ("said", "fixed", "address"),
    [
        (("172.17.0.1/16", "10.77.0.9/16"), True, "10.77.0.1"),
        (("172.17.0.1/16", "10.77.0.9/16"), False, "10.77.0.9"),
        (("evil.example?x=/1", "10.77.0.9/16 -o"), False, ""),
        (("fe80::1/64",), False, ""),
    ],
)
def test_a_machine_does_not_choose_whom_the_server_asks(tmp_path, said, fixed, address):
    server, runner, (machine,) = verified(tmp_path, 1, url="http://{address}/")
    known = replace(machine, addresses=()) if not fixed else machine
    server.use(replace(server.loop.fleet, machines={machine.name: known}))
    (member,) = runner._rollouts.members(runner._rollouts.active()[0].rollout_id)
    system = an_installed_system(machine, member.op_id)
    system = evolve(system, addresses=said, hostname="-oProxyCommand=x")
    server.loop.machines.record_report(machine, a_report(machine, installed=system), NOW)
    (look,) = runner.looks()
    assert (look.hostname, look.address) == (machine.hostname, address)
    server.close()


def test_what_no_document_orders_is_in_no_rollout():
    machines = machines_of(["a"])
    assert planned_rollouts(a_fleet(*machines), [machines[0].name]) == ()


def test_the_example_goes_from_a_canary_to_tokyo_and_then_to_the_rest():
    folder = Path(__file__).parents[2] / "examples/rollouts"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = compile_fleet(files, "r")
    assert result.diagnostics == ()
    found = planned_rollouts(result.fleet, result.fleet.machines)
    assert names(found) == [
        ["canary", "web-01"],
        ["web/tokyo", "web-02", "web-03"],
        ["the rest", "web-04"],
    ]
    (said,) = shown(explained(result.fleet, result.fleet.machines["web-02"]), "rollout")
    assert (said.value, said.reason) == (
        "waves: canary; 25 %; web/tokyo; the rest",
        "through group web > web/tokyo",
    )
    (sentence,) = map(rollout, found)
    assert sentence == (
        "Rollout of web: 4 machines in 3 waves: canary (1), web/tokyo (2), the rest (1). It halts "
        "at the first failure; a machine is healthy when its agent is heard 15m after, "
        "http://{address}:8080/health answers, within 10m."
    )


def test_what_a_commit_calls_a_wave_is_no_markup_where_it_is_reviewed():
    machines = machines_of(["a"])
    said = terms(percent(100, "<b>@all</b> `x` *y*"), url="http://{address}/", command=("a", "`b`"))
    fleet = replace(a_fleet(*machines), rollouts={"": said})
    planned = planned_rollouts(fleet, [machines[0].name])
    made = replace(plan_of("r", NOW, (), budget_of(fleet.settings)), rollouts=planned)
    text = plan_markdown(made, "main", NOW)
    for mark in ("<b>", "`x`", "*y*", "@all", "`b`"):
        assert mark not in text


def test_a_plan_of_many_rollouts_names_the_first():
    machines = machines_of([f"g{number}" for number in range(12)])
    rollouts = {each.group: terms() for each in machines}
    fleet = replace(a_fleet(*machines), rollouts=rollouts)
    planned = planned_rollouts(fleet, [each.name for each in machines])
    made = replace(plan_of("r", NOW, (), budget_of(fleet.settings)), rollouts=planned)
    assert len(conditions(made)) == 9
    assert conditions(made)[-1] == "And 4 more rollouts."


ROLLOUT = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {{name: f}}
spec:
  rollout: {rollout}
"""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{waves: [{}]}", "a wave has either percent or select: for example percent: 10"),
        ("{waves: [{percent: 5, select: {machines: [a]}}]}", "a wave has either percent or select"),
        ("{waves: [{percent: 50}, {percent: 10}]}", "so that it has to be larger"),
        ("{waves: [{percent: 101}]}", "101"),
        ('{health: {url: "http://{ip}/"}}', '"ip" in braces stands for nothing: use {machine}, '),
        ("{health: {command: [/bin/true]}}", '"/bin/true" is not the name of a program'),
        ("{health: {command: [../x]}}", '"../x" is not the name of a program'),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_could_be(written, said):
    text = ROLLOUT.format(rollout=written)
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert result.fleet is None
    assert said in "; ".join(f"{each.message}: {each.hint}" for each in result.diagnostics)


def test_a_rollout_names_machines_as_people_call_them_in_even_columns():
    members = [a_member("failed", 1, "it answered 503"), a_member("healthy", 2), a_member("", 40)]
    names = {"m1": "計算ノード 一号", "m2": "二号", "m40": "[red]x[/red]\x1b[2J"}
    console = Console(width=80)
    with console.capture() as capture:
        for part in rollout_parts(a_rollout(waves=1), members, (), full=False, names=names):
            console.print(part)
    text = capture.get()
    assert "healthy: 二号 (m2)" in text
    assert "[red]x[/red]\\x1b[2J (m40)" in text
    rows = [line for line in text.splitlines() if "(m1)" in line or "(m40)" in line]
    columns = {
        cell_len(line[: line.index(state)])
        for line, state in zip(rows, ("failed", "verified"), strict=True)
    }
    assert len(columns) == 1


def test_a_large_rollout_is_shown_on_a_screen_the_pressing_machines_first():
    rollout = a_rollout(waves=2)
    members = [
        a_member("failed", 1, "RW657: not healthy within 10m (health.within): it answered 503"),
        *(a_member("healthy", number) for number in range(2, 40)),
        a_member("", 40)._replace(state=_S.STARTED),
        *(
            a_member("", number)._replace(wave=2, state=_S.APPROVED, machine=f"n{number}")
            for number in range(41, 100)
        ),
    ]
    console = Console(width=80)
    with console.capture() as capture:
        for part in rollout_parts(rollout, members, (), full=False):
            console.print(part)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert lines[3:] == [
        "wave 1 of 2 (w1)",
        "  m1   failed   RW657: not healthy within 10m (health.within): it answered 503",
        "  m40  started",
        "  healthy: m2, m3, m4, m5, m6 and 33 more",
        "",
        "wave 2 of 2 (w2)",
        "  waits: n41, n42, n43, n44, n45 and 54 more",
    ]
    with console.capture() as capture:
        for part in rollout_parts(rollout, members, (), full=True):
            console.print(part)
    assert "  n99  waits" in capture.get()
