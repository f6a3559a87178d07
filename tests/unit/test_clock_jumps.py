"""A wall clock that is set while work is under way ends nothing, and holds nothing up for ever."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from builders.loop_server import LoopServer
from builders.world import (
    GRANT,
    NOW,
    PROOF,
    SILENCE,
    WAKE,
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

from agent.wire.work import OperationEvent
from providers.netboot.decision import DeployOS
from reconciler.app.status import conditions_of
from reconciler.loop.decide import RESTART_SILENCE
from reconciler.planning.item import Risk
from reconciler.planning.planner import plan
from reconciler.state.observed import ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState
from reconciler.state.world import observe
from reconciler.views.age import ago

_S = OperationState
NODE = a_machine(1, "clone-golden")
DAY = timedelta(days=1)
STATES = ("armed", "claimed", "at work", "done")
JUMPS = st.lists(
    st.tuples(
        st.integers(0, 60).map(lambda seconds: timedelta(seconds=seconds)),
        st.sampled_from((DAY, -DAY, timedelta(hours=1), -timedelta(minutes=20))),
    ),
    min_size=1,
    max_size=3,
)


class Work:
    """One restore, brought to a state, on a server whose clock can be set."""

    def __init__(self, folder, state):
        self.server = LoopServer(Path(folder, "rackwright.db"), a_fleet(NODE), clocks=True)
        self.server.reports(NODE)
        (self.operation,) = self.server.approve_all()
        self.server.run()
        self.sequence = 0
        self.speaks = state == "at work"
        if state != "armed":
            grant = self.server.boots_over_the_network(NODE).grant
            assert self.server.plane.claim(NODE.name, grant.operation, grant.attempt)
        if state in {"at work", "done"}:
            self.says("step-started")
        if state == "done":
            self.says("done")

    def says(self, kind):
        self.sequence += 1
        event = OperationEvent(self.stands.attempt, self.sequence, kind, 1)
        self.server.loop.ledger.record_progress(self.operation.op_id, event, self.server.now)
        self.server.loop.ask(NODE.name)

    def goes_on(self, time):
        """Let time pass; an agent at work says something every ten seconds."""
        while time > timedelta():
            if self.speaks:
                self.says("progress")
            self.server.passes(min(time, timedelta(seconds=10)))
            time -= timedelta(seconds=10)

    def proves(self):
        system = an_installed_system(NODE, self.operation.op_id)
        report = a_report(NODE, a_disk(), installed=system)
        self.server.loop.machines.record_report(NODE, report, self.server.now)
        self.server.loop.ask(NODE.name)

    @property
    def stands(self):
        (status,) = self.server.loop.ledger.operations(op_id=self.operation.op_id)
        return status


@pytest.fixture
def work():
    made = []

    def begin(state):
        folder = TemporaryDirectory()
        made.append((folder, Work(folder.name, state)))
        return made[-1][1]

    yield begin
    for folder, each in made:
        each.server.close()
        folder.cleanup()


def with_work(state, check):
    with TemporaryDirectory() as folder:
        work = Work(folder, state)
        try:
            check(work)
        finally:
            work.server.close()


@pytest.mark.parametrize("state", STATES)
@settings(max_examples=5, deadline=None)
@given(jumps=JUMPS)
def test_no_jump_of_the_clock_ends_healthy_work(state, jumps):
    def check(work):
        before = work.stands
        for passed, jump in jumps:
            work.goes_on(passed)
            work.server.now += jump
            work.server.beat()
            assert (work.stands.state, work.stands.attempt) == (before.state, before.attempt)
        work.goes_on(timedelta(seconds=60))
        if state == "armed":
            assert isinstance(work.server.boots_over_the_network(NODE), DeployOS)
        elif state == "done":
            work.proves()
            work.server.passes(timedelta(seconds=5))
            assert work.stands.state is _S.VERIFIED
        else:
            assert work.stands.state is _S.STARTED

    with_work(state, check)


@pytest.mark.parametrize(
    ("state", "wait", "after"),
    [
        ("armed", GRANT, (_S.ARMED, 2)),
        ("claimed", SILENCE, (_S.ARMED, 2)),
        ("at work", SILENCE, (_S.INDETERMINATE, 1)),
        ("done", PROOF, (_S.FAILED, 1)),
    ],
)
@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_what_is_waited_for_ends_its_time_after_the_jump(work, state, wait, after, jump):
    one = work(state)
    before = one.stands.state, one.stands.attempt
    one.server.passes(timedelta(minutes=5))
    one.server.now += jump
    one.server.passes(wait - timedelta(seconds=10))
    assert (one.stands.state, one.stands.attempt) == before
    one.server.passes(timedelta(seconds=30))
    assert (one.stands.state, one.stands.attempt) == after


def test_a_machine_is_woken_after_a_jump_as_before(work):
    one = work("armed")
    one.server.now -= DAY
    one.server.beat()
    woken = len(one.server.outside.woken)
    one.server.passes(3 * WAKE + timedelta(seconds=9))
    assert len(one.server.outside.woken) >= woken + 3


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_restart_after_a_jump_resumes_the_work(work, jump):
    one = work("at work")
    one.server.now += jump
    one.server.passes(timedelta(seconds=20))
    one.server.boots_over_the_network(NODE)
    one.server.passes(RESTART_SILENCE + timedelta(seconds=8))
    assert (one.stands.state, one.stands.attempt) == (_S.ARMED, 2)
    assert isinstance(one.server.boots_over_the_network(NODE), DeployOS)


# --- what was said in a future that is no more ------------------------------------------


def test_disks_seen_at_a_time_still_to_come_are_unknown():
    world = observed({NODE.name: ramdisk(NODE, a_disk(), at=NOW + DAY)}, (an_image(),))
    (item,) = plan(a_fleet(NODE), world, NOW).items
    assert item.risk is Risk.UNKNOWN
    assert item.reason == (
        "its disks were last seen at a time that is still to come (2026-11-22 12:00:00 UTC): "
        "the clock was set back; the machine may be in use"
    )


def test_a_machine_heard_at_a_time_still_to_come_is_not_ready(work):
    one = work("done")
    one.server.now += DAY
    one.server.beat()
    one.proves()
    one.server.run()
    assert one.stands.state is _S.VERIFIED

    def condition():
        fleet, hardware = one.server.loop.fleet, one.server.loop.hardware
        world = observe(one.server.database, fleet.machines.values(), {}, one.server.now)
        (found,) = conditions_of(fleet, [NODE], hardware, world, one.server.now)
        return found.condition, found.reason

    assert condition()[0] == "Ready"
    one.server.now -= DAY
    assert condition() == (
        "Unknown",
        (
            "the installed agent was heard at a time that is still to come "
            "(2026-11-22 12:00:00 UTC): the clock was set back"
        ),
    )


def test_a_boot_at_a_time_still_to_come_does_not_hide_a_running_system():
    running = ObservedMachine(installed_contact=NOW, boot_request=NOW + DAY, read_at=NOW)
    assert running.system_may_run
    assert not replace(running, boot_request=NOW + timedelta(seconds=1)).system_may_run
    golden = a_machine(2, "capture-golden")
    system = an_installed_system(golden, "earlier")
    report = TimedReport(a_report(golden, installed=system), NOW)
    seen = ObservedMachine(installed=report, boot_request=NOW + DAY, read_at=NOW)
    (item,) = plan(a_fleet(golden), observed({golden.name: seen}), NOW).items
    assert item.risk is Risk.DISRUPTIVE


def test_what_began_at_a_time_still_to_come_counts_against_budgets_for_an_hour_at_most(tmp_path):
    machines = [a_machine(number, "clone-golden") for number in (1, 2)]
    fleet = a_fleet(*machines, at_once=9, per_hour=1)
    server = LoopServer(tmp_path / "rackwright.db", fleet, clocks=True)
    server.reports(*machines)
    server.now += DAY
    server.beat()
    server.reports(*machines)
    server.approve_all()
    server.run()
    server.now -= DAY
    server.beat()
    server.passes(timedelta(minutes=59))
    assert sorted(server.states().values()) == [_S.APPROVED, _S.ARMED]
    server.passes(timedelta(minutes=2))
    assert list(server.states().values()) == [_S.ARMED, _S.ARMED]
    server.close()


def test_an_age_that_is_still_to_come_is_said_to_be_unknown():
    assert ago(NOW + DAY, NOW) == "unknown (2026-11-22 12:00 UTC is still to come)"
    assert ago(NOW + timedelta(seconds=1), NOW) == "0 s ago"
