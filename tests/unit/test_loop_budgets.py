"""Every budget that is written holds, and holds back nothing else."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import pytest
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    a_status,
    an_image,
    observed,
    ramdisk,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.app.status import conditions_of
from reconciler.loop.budgets import counted, tracker_of
from reconciler.loop.decide import Arm, WorkView, decide
from reconciler.loop.waiting import waits_for
from reconciler.planning.planner import plan
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import BUDGET_WINDOW, ObservedMachine, TimedReport
from reconciler.state.operation_states import AT_WORK, OperationState
from reconciler.state.work_begun import Impact, WorkBegun
from specs.fleet import Budget

_S = OperationState
GROUPS = [("a",), ("a", "a/x"), ("a", "a/x", "a/x/1"), ("a", "a/y"), ("b",), ("b", "b/x")]
MACHINES = [
    a_machine(number, "clone-golden", group=groups[-1], groups=groups)
    for number, groups in enumerate([*GROUPS, *GROUPS], 1)
]
RUNS = ObservedMachine(installed_contact=NOW - timedelta(days=2))
"""An agent that was heard two days ago: nothing says that the system stopped."""


def fleet_budget(kind, at_once=100, per_hour=None, per_minute=None):
    return Budget("fleet", "", kind, at_once, per_hour, per_minute)


def group_budget(group, kind, at_once, per_hour=10):
    return Budget("group", group, kind, at_once, per_hour)


def _restore():
    machine = MACHINES[0]
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    return plan(a_fleet(machine), world, NOW).items[0].operation


_PLANNED = _restore()


def work(machine, number=1, *, destructive=True):
    """Return an operation for the machine."""
    return replace(
        _PLANNED,
        op_id=f"{machine.name}-{number}",
        machine=machine.name,
        hardware=machine.hardware_identity,
        identities=machine.hardware_identities,
        destructive=destructive,
    )


def fleet(*budgets, machines=MACHINES):
    """Return a fleet that has these budgets only."""
    made = a_fleet(*machines)
    return replace(made, settings=made.settings._replace(budgets=budgets))


def begun(operation, at=NOW, *, at_work=False):
    impact = Impact.DESTRUCTIVE if operation.destructive else Impact.DISRUPTIVE
    return WorkBegun(
        operation.op_id,
        at,
        impact,
        operation.hardware,
        operation.identities,
        operation.scenario,
        operation.kind,
        at_work,
    )


def decided(desired, statuses, starts=(), now=NOW):
    """Return by machine the limit of its approved operation; None for what may begin.

    ``starts`` is what began besides the work that is going on.
    """
    seen = {machine.name: RUNS for machine in MACHINES}
    running = [begun(each.operation, each.at, at_work=True) for each in statuses if at_work(each)]
    world = observed(seen, operations=tuple(statuses), work_begun=(*starts, *running))
    hardware = FleetHardware(desired.machines.values())
    machine_of = {each.operation.op_id: each.operation.machine for each in statuses}
    found = waits_for(desired, world, now, hardware)
    return {machine_of[op_id]: limit or None for op_id, limit in found.items()}


def at_work(status):
    return status.state in AT_WORK


def approved(*operations):
    return [a_status(operation, _S.APPROVED, attempt=0) for operation in operations]


# --- every interleaving -----------------------------------------------------------------


@dataclass
class World:
    """Machines at work over time, with everything that ever began."""

    desired: object
    now: object = NOW
    number: int = 0

    def __post_init__(self):
        self.statuses = []
        self.begun = []
        self.hardware = FleetHardware(self.desired.machines.values())
        self.tracker = tracker_of(self.desired, self.hardware, (), self.now)

    def approve(self, machine, *, destructive):
        self.number += 1
        self.statuses += approved(work(machine, self.number, destructive=destructive))

    def end(self, machine):
        for status in [each for each in self.statuses if at_work(each)]:
            if status.operation.machine == machine.name:
                self.statuses.remove(status)
                self.tracker.end(status.operation.op_id)

    def begin(self):
        """Decide on each machine by itself, in the order of approval, and arm what may begin."""
        for status in [each for each in self.statuses if each.state is _S.APPROVED]:
            mine = [
                each for each in self.statuses if each.operation.machine == status.operation.machine
            ]
            outcome = decide(WorkView(tuple(mine), RUNS), self.limit, self.now)
            if isinstance(outcome, Arm) and outcome.status is status:
                self.statuses.remove(status)
                self.statuses.append(a_status(status.operation, _S.STARTED, at=self.now))
                self.begun.append((status.operation, self.now))
                counts = self.counted(status.operation, outcome.impact)
                self.tracker.begin(status.operation.op_id, counts, self.now)

    def limit(self, operation, impact):
        found = self.tracker.limit(self.counted(operation, impact), self.now)
        if found is not None and "at once" not in found.why:
            assert self.now < self.tracker.next_release(self.now) <= self.now + BUDGET_WINDOW
        return found

    def counted(self, operation, impact):
        return counted(self.desired, self.hardware, operation, impact)

    def concerned(self, budget, operation):
        """Return whether the budget counts this work."""
        machine = self.desired.machines[operation.machine]
        names = {
            "fleet": ("",),
            "group": machine.groups,
            "network": (machine.network,),
            "scenario": (operation.scenario,),
        }
        if budget.kind in {"destructive", "disruptive"}:
            return (
                budget.name in names[budget.scope]
                and (budget.kind == "destructive") == operation.destructive
            )
        return budget.name in names[budget.scope]

    def at_work(self, budget):
        """Return the machines that a budget counts now."""
        running = [status.operation for status in self.statuses if at_work(status)]
        return {each.machine for each in running if self.concerned(budget, each)}

    def began(self, budget):
        """Return when machines that a budget counts began last, of the last hour."""
        found = {}
        for operation, at in self.begun:
            if self.now - at < BUDGET_WINDOW and self.concerned(budget, operation):
                found[operation.machine] = at
        return found

    def full(self, budget):
        """Return whether the budget lets no further machine begin."""
        began = self.began(budget)
        pause = timedelta(minutes=1) / budget.per_minute if budget.per_minute else timedelta()
        return (
            len(self.at_work(budget)) >= budget.at_once
            or (budget.per_hour is not None and len(began) >= budget.per_hour)
            or any(self.now < at + pause for at in began.values())
        )


_SCOPES = [
    ("fleet", ""),
    ("group", "a"),
    ("group", "a/x"),
    ("group", "a/x/1"),
    ("group", "b"),
    ("network", MACHINES[0].network),
    ("network", "elsewhere"),
    ("scenario", _PLANNED.scenario),
]
_KINDS = st.sampled_from(["work", "imaging", "destructive", "disruptive"])
_MOST = st.integers(1, 3)
_BUDGETS = st.lists(
    st.builds(
        lambda scope, kind, *limits: Budget(*scope, kind, *limits),
        st.sampled_from(_SCOPES),
        _KINDS,
        _MOST,
        st.none() | st.integers(1, 5),
        st.none() | _MOST,
    ),
    unique_by=lambda budget: budget[:3],
    min_size=2,
    max_size=8,
)
_APPROVE = st.tuples(st.just("approve"), st.sampled_from(MACHINES), st.booleans())
_END = st.tuples(st.just("end"), st.sampled_from(MACHINES), st.booleans())
_WAIT = st.tuples(st.just("wait"), st.sampled_from([0.3, 1, 20, 59, 60]), st.booleans())
_STEPS = st.lists(st.one_of(_APPROVE, _APPROVE, _END, _WAIT), min_size=10, max_size=40)


@settings(max_examples=150, deadline=None)
@given(budgets=_BUDGETS, steps=_STEPS)
def test_no_interleaving_exceeds_a_budget_and_none_holds_what_it_does_not_concern(budgets, steps):
    world = World(fleet(*budgets))
    for step, what, destructive in steps:
        if step == "approve":
            world.approve(what, destructive=destructive)
        elif step == "end":
            world.end(what)
        else:
            world.now += timedelta(minutes=what)
        world.begin()
        for budget in budgets:
            assert len(world.at_work(budget)) <= budget.at_once
            began = sorted(world.began(budget).values())
            assert budget.per_hour is None or len(began) <= budget.per_hour
            if budget.per_minute:
                pause = timedelta(minutes=1) / budget.per_minute
                assert all(one + pause <= other for one, other in pairwise(began))
        busy = Counter(each.operation.machine for each in world.statuses if at_work(each))
        assert set(busy.values()) <= {1}
        for status in world.statuses:
            operation = status.operation
            if status.state is not _S.APPROVED or busy[operation.machine]:
                continue
            busy[operation.machine] += 1  # what was approved later waits for this
            assert any(
                world.full(budget) for budget in budgets if world.concerned(budget, operation)
            ), f"{operation.op_id} waits for nothing"


# --- what counts ------------------------------------------------------------------------


def test_with_a_full_budget_of_one_group_the_machines_of_others_go_on():
    desired = fleet(group_budget("a/x", "destructive", 1, 10))
    below, beside, above = MACHINES[2], MACHINES[3], MACHINES[0]
    running = a_status(work(MACHINES[1]), _S.STARTED)
    found = decided(desired, [running, *approved(work(below), work(beside), work(above))])
    assert found == {
        below.name: "the destructive budget of group a/x (1 at once)",
        beside.name: None,
        above.name: None,
    }


def test_of_nested_budgets_each_is_kept():
    desired = fleet(group_budget("a", "destructive", 3), group_budget("a/x", "destructive", 2))
    inside = [machine for machine in MACHINES if "a/x" in machine.groups]
    outside = [machine for machine in MACHINES if machine.groups[-1] == "a/y"]
    found = decided(desired, approved(*(work(machine) for machine in [*inside, *outside])))
    assert [found[machine.name] for machine in inside] == [
        None,
        None,
        "the destructive budget of group a/x (2 at once)",
        "the destructive budget of group a/x (2 at once)",
    ]
    assert [found[machine.name] for machine in outside] == [
        None,
        "the destructive budget of group a (3 at once)",
    ]


@pytest.mark.parametrize("destructive", [True, False])
def test_destructive_and_disruptive_work_have_budgets_of_their_own(destructive):
    effect = "destructive" if destructive else "disruptive"
    desired = fleet(fleet_budget(effect, 1))
    first, second, third = (
        work(machine, destructive=each)
        for machine, each in zip(MACHINES, (destructive, destructive, not destructive))  # noqa: B905 - the first three
    )
    assert decided(desired, approved(first, second, third)) == {
        first.machine: None,
        second.machine: f"the fleet's {effect} budget (1 at once)",
        third.machine: None,
    }


def test_the_hour_of_disruptive_work_outlasts_the_work():
    desired = fleet(group_budget("a", "disruptive", 5, 1))
    starts = [begun(work(MACHINES[0], destructive=False), NOW - timedelta(minutes=50))]
    waiting = work(MACHINES[1], destructive=False)
    held = {waiting.machine: "the disruptive budget of group a (1 an hour)"}
    later = NOW + timedelta(minutes=10)
    assert decided(desired, approved(waiting), starts) == held
    just_before = later - timedelta(microseconds=1)
    assert decided(desired, approved(waiting), starts, now=just_before) == held
    assert decided(desired, approved(waiting), starts, now=later) == {waiting.machine: None}


def test_disruptive_work_counts_as_long_as_it_lasts():
    desired = fleet(fleet_budget("disruptive", 1))
    running, waiting = (work(machine, destructive=False) for machine in MACHINES[:2])
    long_ago = a_status(running, _S.STARTED, at=NOW - timedelta(hours=3))
    waits = {waiting.machine: "the fleet's disruptive budget (1 at once)"}
    assert decided(desired, [long_ago, *approved(waiting)]) == waits
    assert decided(desired, approved(waiting)) == {waiting.machine: None}


def test_a_machine_counts_once_however_often_it_works():
    desired = fleet(fleet_budget("destructive", per_hour=2))
    once, again = work(MACHINES[0], 1), work(MACHINES[0], 2)
    starts = [begun(once), begun(again)]
    other, third = work(MACHINES[1]), work(MACHINES[0], 3)
    assert decided(desired, approved(other), starts) == {other.machine: None}
    full = [*starts, begun(other)]
    assert decided(desired, approved(third), full) == {third.machine: None}


def test_a_machine_counts_in_the_group_and_under_the_name_that_it_has_now():
    desired = fleet(group_budget("b", "destructive", 1, 10))
    mover, resident = MACHINES[0], MACHINES[4]
    statuses = [a_status(work(mover), _S.STARTED), *approved(work(resident))]
    assert decided(desired, statuses) == {resident.name: None}
    moved = replace(mover, name="moved", group="b", groups=("b",))
    desired = replace(desired, machines={"moved": moved, resident.name: resident})
    held = {resident.name: "the destructive budget of group b (1 at once)"}
    assert decided(desired, statuses) == held


def test_hardware_that_the_fleet_let_go_of_counts_for_the_fleet_alone():
    gone, left = MACHINES[0], MACHINES[1]
    statuses = [a_status(work(gone), _S.STARTED), *approved(work(left))]
    only = [left]
    found = decided(fleet(group_budget("a", "destructive", 1, 10), machines=only), statuses)
    assert found == {left.name: None}
    found = decided(fleet(fleet_budget("destructive", 1), machines=only), statuses)
    assert found == {left.name: "the fleet's destructive budget (1 at once)"}


def test_hardware_that_two_machines_claim_counts_for_the_groups_of_both():
    lost = work(a_machine(90))
    claims = lost.identities[-1:]
    one, other = (replace(MACHINES[place], formerly=claims) for place in (0, 4))
    neighbour = MACHINES[5]
    desired = fleet(
        group_budget("b", "destructive", 1, 10),
        machines=[one, other, neighbour],
    )
    statuses = [a_status(lost, _S.STARTED), *approved(work(neighbour))]
    held = {neighbour.name: "the destructive budget of group b (1 at once)"}
    assert decided(desired, statuses) == held


@pytest.mark.parametrize(
    ("seen", "interrupted"),
    [
        (ObservedMachine(), False),
        (ObservedMachine(installed_contact=NOW), True),
        (RUNS, True),
        (ObservedMachine(installed=TimedReport(a_report(MACHINES[0]), NOW)), True),
        (replace(RUNS, boot_request=NOW), False),
        (replace(RUNS, ramdisk_contact=NOW), False),
        (ramdisk(MACHINES[0], a_disk()), False),
    ],
)
def test_work_is_disruptive_where_a_system_may_run(seen, interrupted):
    (status,) = approved(work(MACHINES[0], destructive=False))
    outcome = decide(WorkView((status,), seen), lambda _operation, _impact: None, NOW)
    assert isinstance(outcome, Arm)
    assert outcome.impact is (Impact.DISRUPTIVE if interrupted else Impact.SAFE)


def test_a_destructive_operation_is_not_counted_as_disruptive_too():
    (status,) = approved(work(MACHINES[0]))
    outcome = decide(WorkView((status,), RUNS), lambda _operation, _impact: None, NOW)
    assert outcome.impact is Impact.DESTRUCTIVE


def test_imaging_has_a_budget_of_its_own_and_inspections_do_not_count_in_it():
    desired = fleet(fleet_budget("imaging", 1))
    capture, restore = work(MACHINES[0], destructive=False), work(MACHINES[1])
    look = replace(work(MACHINES[2], destructive=False), kind="inspect")
    assert decided(desired, approved(capture, restore, look)) == {
        capture.machine: None,
        restore.machine: "the fleet's imaging budget (1 at once)",
        look.machine: None,
    }


def test_looks_at_many_machines_begin_one_after_another():
    desired = fleet(fleet_budget("work", at_once=2, per_minute=30))
    looks = [replace(work(each, destructive=False), kind="inspect") for each in MACHINES[:3]]
    held = dict.fromkeys(
        [each.machine for each in looks[1:]], "the fleet's work budget (30 a minute)"
    )
    assert decided(desired, approved(*looks)) == {looks[0].machine: None, **held}
    first = a_status(looks[0], _S.ARMED)
    rest = approved(*looks[1:])
    later = NOW + timedelta(seconds=2)
    found = decided(desired, [first, *rest], now=later)
    assert (found[looks[1].machine], found[looks[2].machine]) == (
        None,
        "the fleet's work budget (2 at once)",
    )


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (Budget("network", "lab", "work", 1), "network lab"),
        (Budget("scenario", "clone-golden", "work", 1), "scenario clone-golden"),
    ],
)
def test_a_network_and_a_scenario_have_budgets(budget, name):
    desired = fleet(budget)
    first, second = work(MACHINES[0]), work(MACHINES[1])
    assert decided(desired, approved(first, second)) == {
        first.machine: None,
        second.machine: f"the work budget of {name} (1 at once)",
    }
    other = Budget(budget.scope, "elsewhere", "work", 1)
    assert set(decided(fleet(other), approved(first, second)).values()) == {None}


def test_a_beginning_in_the_future_counts_as_one_of_now():
    desired = fleet(fleet_budget("destructive", per_hour=1))
    hardware = FleetHardware(desired.machines.values())
    ahead = begun(work(MACHINES[0]), NOW + timedelta(days=1))
    tracker = tracker_of(desired, hardware, [ahead], NOW)
    assert tracker.next_release(NOW) == NOW + BUDGET_WINDOW


# --- what people see --------------------------------------------------------------------


def test_status_names_the_budget_that_work_waits_for():
    own = fleet_budget("work"), fleet_budget("destructive", per_hour=100)
    desired = fleet(*own, group_budget("a/x", "disruptive", 1, 1))
    running, waiting = (work(machine, destructive=False) for machine in MACHINES[1:3])
    world = observed(
        {machine.name: RUNS for machine in MACHINES},
        operations=(a_status(running, _S.STARTED), *approved(waiting)),
        work_begun=(begun(running, at_work=True),),
    )
    machines = desired.machines.values()
    found = conditions_of(desired, machines, FleetHardware(machines), world, NOW)
    states = {state.machine: state for state in found}
    assert states[running.machine].reason == "restore: started"
    assert states[waiting.machine].condition == "Reconciling"
    assert states[waiting.machine].reason == (
        "restore: approved, waits for the disruptive budget of group a/x (1 at once)"
    )
