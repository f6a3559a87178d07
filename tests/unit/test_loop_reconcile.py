"""The loop looks at one machine at a time, and at no more than it has to."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders.loop_server import LoopServer
from builders.world import (
    GRANT,
    NOW,
    SILENCE,
    WAKE,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_installed_system,
)
from structlog.testing import capture_logs

from agent.wire.work import OperationEvent
from providers.netboot.decision import DeployOS, LocalDisk
from reconciler.app.status import conditions_of
from reconciler.errors import StateError
from reconciler.loop import reconcile
from reconciler.loop.decide import QUARANTINE_LOOK
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import OperationState
from reconciler.state.world import FEW, observe, observe_few
from specs.diagnostics.position import Position
from specs.fleet import FLEET, Budget, CompiledWindow, CompiledWindows

_S = OperationState


@pytest.fixture
def serve(tmp_path):
    """Return what starts a server on the same state each time."""
    servers = []

    def start(*machines, **settings):
        changes = {name: settings.pop(name) for name in ("at_once", "per_hour") if name in settings}
        fleet = a_fleet(*machines, **changes)
        servers.append(LoopServer(tmp_path / "rackwright.db", fleet, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


CLONES = [a_machine(number, "clone-golden") for number in range(1, 9)]
NODE = CLONES[0]


# --- one machine ----------------------------------------------------------------------


def test_a_boot_of_a_machine_without_work_asks_the_database_nothing(serve):
    server = serve(*CLONES)
    server.asked()
    assert server.boots_over_the_network(NODE) == LocalDisk("no grant")
    assert server.asked() == []


def test_reconciling_one_machine_costs_the_same_in_a_fleet_of_any_size(serve):
    asked = []
    for machines in (CLONES[:1], CLONES):
        server = serve(*machines)
        server.reports(NODE)
        if not asked:
            server.approve_all()
        server.run()
        server.run()
        server.now += WAKE
        server.asked()
        assert server.run() == 1
        asked.append(len(server.asked()))
    assert asked[0] == asked[1] < 12


def test_an_idle_second_is_one_question_about_the_ledger(serve):
    server = serve(*CLONES)
    server.reports(*CLONES)
    server.run()
    server.asked()
    assert server.run() == 0
    (asked,) = server.asked()
    assert asked.startswith("SELECT ledger.sequence, ledger.op_id \nFROM ledger \nWHERE")


def test_who_asks_of_one_machine_hears_what_who_asks_of_all_hears_of_it(serve):
    server = serve(*CLONES, at_once=2)
    server.reports(*CLONES[:6], installed=True)
    server.loop.machines.set_quarantine("node-02", CLONES[1].hardware_identities, "alarm", NOW)
    server.approve_all()
    server.run()
    fleet, hardware = server.loop.fleet, server.loop.hardware
    everything = observe(server.database, fleet.machines.values(), {}, server.now)
    of_all = conditions_of(fleet, CLONES, hardware, everything, server.now)
    assert len({each.reason for each in of_all}) == 4
    for machine, known in zip(CLONES, of_all, strict=True):
        few = observe_few(server.database, [machine.name], fleet.machines, {}, server.now, hardware)
        assert conditions_of(fleet, [machine], hardware, few, server.now) == (known,)
    many = ["node-01"] * (FEW + 1)
    assert observe_few(server.database, many, fleet.machines, {}, server.now, hardware) is None


def test_only_the_agent_of_an_armed_machine_is_told(serve):
    server = serve(*CLONES, at_once=1)
    server.reports(*CLONES)
    server.approve_all()
    server.run()
    assert server.outside.told == [NODE.name]


def test_an_armed_machine_is_woken_until_its_grant_expires(serve):
    server = serve(NODE)
    server.reports(NODE)
    (operation,) = server.approve_all()
    server.run()
    assert server.outside.woken == [(NODE.name, operation.op_id)]
    assert server.loop.next_time() == server.now + WAKE
    server.now += WAKE
    assert server.run() == 1
    assert len(server.outside.woken) == 2
    server.now += GRANT
    server.run()
    (status,) = server.loop.operations.current()
    assert (status.state, status.attempt) == (_S.ARMED, 2)


def test_what_another_process_ends_is_let_go_of(serve):
    server = serve(NODE)
    server.reports(NODE)
    (operation,) = server.approve_all()
    server.run()
    Ledger(server.database).move(
        operation.op_id, _S.ARMED, _S.CANCELLED, attempt=1, at=NOW, actor="ada", reason="not now"
    )
    server.run()
    assert not server.loop.has_work(NODE.name)
    assert server.loop.next_time() is None
    assert server.boots_over_the_network(NODE) == LocalDisk("no grant")


def test_a_new_server_goes_on_where_the_last_one_was(serve):
    first = serve(NODE)
    first.reports(NODE)
    first.approve_all()
    first.run()
    second = serve(NODE)
    assert isinstance(second.boots_over_the_network(NODE), DeployOS)


def test_work_of_hardware_that_the_fleet_let_go_of_is_followed_to_its_end(serve):
    server = serve(NODE)
    server.reports(NODE)
    server.approve_all()
    server.run()
    answer = server.boots_over_the_network(NODE)
    assert server.plane.claim(NODE.name, answer.grant.operation, answer.grant.attempt)
    woken = len(server.outside.woken)
    event = OperationEvent(attempt=1, sequence=1, kind="step-started", step=0)
    server.loop.ledger.record_progress(answer.grant.operation, event, server.now)
    server.use(a_fleet(CLONES[1]))
    server.run()
    assert server.states() == {NODE.name: _S.STARTED}
    server.now += SILENCE + timedelta(seconds=1)
    server.run()
    assert server.states() == {NODE.name: _S.INDETERMINATE}
    assert len(server.outside.woken) == woken


# --- budgets --------------------------------------------------------------------------


def test_work_waits_for_a_budget_in_the_order_of_its_approval(serve):
    server = serve(*CLONES, at_once=2, per_hour=100)
    server.reports(*CLONES)
    operations = server.approve_all()
    server.run()
    begun = [operation.machine for operation in operations[:2]]
    assert server.outside.told == begun
    assert server.run() == 0, "those that wait are not looked at again and again"
    for operation in operations:
        (status,) = server.loop.ledger.operations(op_id=operation.op_id)
        if status.state is not _S.ARMED:
            break
        server.plane.fail(status, "it did not work out", "test")
        server.run()
    assert server.outside.told == [operation.machine for operation in operations]


def test_the_hour_of_a_budget_passes_by_itself(serve):
    server = serve(*CLONES, at_once=9, per_hour=3)
    server.reports(*CLONES)
    server.approve_all()
    server.run()
    assert len(server.outside.told) == 3
    for status in server.loop.operations.current([_S.ARMED]):
        server.plane.fail(status, "it did not work out", "test")
    server.run()
    assert len(server.outside.told) == 3
    hour = NOW + timedelta(hours=1)
    assert server.loop.next_time() == hour
    server.now = hour
    server.run()
    assert len(server.outside.told) == 6


def test_budgets_are_kept_over_a_restart_and_a_new_revision(serve):
    first = serve(*CLONES, at_once=2, per_hour=100)
    first.reports(*CLONES)
    first.approve_all()
    first.run()
    second = serve(*CLONES, at_once=2, per_hour=100)
    second.run()
    assert second.outside.told == []
    second.use(a_fleet(*CLONES, at_once=3, per_hour=100))
    second.run()
    assert len(second.outside.told) == 1


def _second_is_released(server):
    """Let eight machines wait for a budget of one, and have the second one's turn come."""
    server.reports(*CLONES)
    operations = server.approve_all()
    server.run()
    (status,) = server.loop.operations.current([_S.ARMED])
    server.plane.fail(status, "it did not work out", "test")
    return operations


def test_a_machine_in_quarantine_takes_no_turn_from_those_that_wait(serve):
    server = serve(*CLONES, at_once=1, per_hour=100)
    operations = _second_is_released(server)
    second = operations[1]
    server.loop.machines.set_quarantine(second.machine, second.identities, "no", server.now)
    server.run()
    assert server.outside.told == [operations[0].machine, operations[2].machine]


def test_work_that_is_cancelled_when_its_turn_comes_lets_the_next_begin(serve):
    server = serve(*CLONES, at_once=1, per_hour=100)
    operations = _second_is_released(server)
    Ledger(server.database).move(
        operations[1].op_id,
        _S.APPROVED,
        _S.CANCELLED,
        attempt=0,
        at=NOW,
        actor="ada",
        reason="not now",
    )
    server.run()
    assert server.outside.told == [operations[0].machine, operations[2].machine]


def test_a_machine_that_fails_when_its_turn_comes_lets_the_next_begin(serve):
    server = serve(*CLONES, at_once=1, per_hour=100)
    operations = _second_is_released(server)
    break_machine(server, CLONES[1])
    server.run()
    assert server.outside.told == [operations[0].machine, operations[2].machine]


@pytest.mark.parametrize("read", ["newest_line", "under_way", "work_begun"])
def test_a_revision_is_not_half_taken_where_the_state_cannot_be_read(serve, monkeypatch, read):
    server = serve(NODE)
    server.reports(NODE)
    (operation,) = server.approve_all()
    server.run()

    def locked(*_):
        raise StateError("RW705", "another process holds it", "Wait")

    monkeypatch.setattr(server.loop.operations, read, locked)
    before = server.loop.fleet
    with pytest.raises(StateError, match="RW705"):
        server.use(replace(before, revision="beef"))
    assert server.loop.fleet is before
    (status,) = server.loop.work_of(NODE.name)
    assert status.operation.op_id == operation.op_id


# --- unattended -----------------------------------------------------------------------


def test_every_machine_is_looked_at_once_and_then_when_its_plan_may_change(serve):
    server = serve(*CLONES, unattended=True)
    server.reports(*CLONES, installed=True)
    assert server.run() == len(CLONES)
    assert server.run() == 0
    expires = NOW + timedelta(seconds=server.loop.fleet.settings.observation_max_age_seconds)
    assert expires < server.loop.next_time() < expires + timedelta(seconds=1)


def test_a_machine_that_waits_in_ram_is_inspected_without_a_person(serve):
    server = serve(NODE, unattended=True)
    server.waits_in_ram(NODE)
    server.run()
    (status,) = server.loop.operations.current()
    assert (status.operation.kind, status.state) == ("inspect", _S.ARMED)


@pytest.mark.parametrize("scenario", ["clone-golden", "capture-golden"])
def test_a_machine_that_may_be_in_use_is_left_alone_without_a_person(serve, scenario):
    machine = a_machine(1, scenario)
    server = serve(machine, unattended=True)
    server.run()
    assert server.states() == {}
    server.boots_over_the_network(machine)  # its user restarts it
    server.run()
    assert (server.states(), server.outside.woken) == ({}, [])


def test_work_approved_for_an_idle_machine_interrupts_no_system(serve):
    machine = a_machine(1, "capture-golden")
    server = serve(machine)
    server.waits_in_ram(machine)
    (operation,) = server.approve_all()
    server.now += timedelta(seconds=1)
    server.reports(machine, installed=True)
    server.run()
    (status,) = server.loop.operations.current()
    assert status.state is _S.PLANNED
    assert status.reason == (
        "RW650: the machine may be in use by now, and nobody agreed to interrupt it. Nothing was "
        "begun: approve it anew, or give the run again."
    )
    assert server.approve_all() == [operation]  # as work that interrupts the system, now
    server.run()
    assert server.states() == {machine.name: _S.ARMED}


# --- windows --------------------------------------------------------------------------


def open_from(server, begin, end, **more):
    """Let work be done on all machines from hour to hour, UTC."""
    days = tuple(range(7))
    window = CompiledWindow(days, begin * 60, end * 60)
    windows = CompiledWindows("UTC", (window,), (), frozenset(), Position("fleet.yaml", 3, 5))
    server.use(replace(server.loop.fleet, windows={FLEET: windows}, **more))


def test_approved_work_waits_for_its_window_and_says_so(serve):
    server = serve(NODE)
    server.reports(NODE)
    open_from(server, 22, 23)
    server.approve_all()
    server.run()
    assert server.states() == {NODE.name: _S.APPROVED}
    assert conditions_of_all(server) == {
        NODE.name: "restore: approved, waits for a window: outside its windows (allow 22:00-23:00 "
        "in UTC) until 2026-11-21 22:00 UTC"
    }
    server.now = NOW.replace(hour=22)
    assert server.loop.next_time() == server.now
    server.run()
    assert server.states() == {NODE.name: _S.ARMED}


def test_a_machine_that_may_be_in_use_is_looked_at_in_its_window_once(serve):
    server = serve(NODE, unattended=True)
    open_from(server, 12, 16)  # it is noon
    server.run()
    assert server.states() == {NODE.name: _S.ARMED}
    server.now += timedelta(minutes=16)
    server.run()
    (status,) = server.loop.operations.current()
    assert (status.state, status.attempt) == (_S.PLANNED, 1)
    assert status.reason.startswith("RW653: nobody used the boot grant for 15m (waits.grant); ")
    server.now += timedelta(hours=1)
    server.loop.ask(NODE.name)
    server.run()
    assert server.states() == {NODE.name: _S.PLANNED}
    while server.states() == {NODE.name: _S.PLANNED}:
        server.now = server.loop.next_time()
        server.run()
    assert server.states() == {NODE.name: _S.ARMED}
    assert server.now == NOW + timedelta(days=1)


def test_a_machine_that_waits_for_its_window_is_looked_at_when_that_opens(serve):
    server = serve(NODE, unattended=True)
    open_from(server, 22, 23)
    server.run()
    assert server.states() == {}
    assert server.loop.next_time() == NOW + timedelta(hours=10)
    server.now = server.loop.next_time()
    server.run()
    assert server.states() == {NODE.name: _S.ARMED}


def test_a_machine_without_work_is_not_looked_at_because_a_window_opens(serve):
    machine = a_machine(1)
    server = serve(machine, unattended=True)
    open_from(server, 22, 23)
    server.run()
    assert server.loop.next_time() is None


def test_a_running_system_is_not_interrupted_in_a_window_either(serve):
    machine = a_machine(1, "capture-golden")
    server = serve(machine, unattended=True)
    server.reports(machine, installed=True)
    open_from(server, 12, 16)
    server.run()
    assert server.states() == {}


# --- when work begins -----------------------------------------------------------------


def for_the_next_boot(server):
    fleet = server.loop.fleet
    scenarios = {name: each._replace(trigger="next-boot") for name, each in fleet.scenarios.items()}
    server.use(replace(fleet, scenarios=scenarios))


def test_work_for_the_next_boot_waits_for_it_and_begins_in_that_very_boot(serve):
    server = serve(NODE)
    server.reports(NODE)
    for_the_next_boot(server)
    server.approve_all()
    server.run()
    assert (server.states(), server.loop.next_time()) == ({NODE.name: _S.APPROVED}, None)
    states = conditions_of_all(server)
    assert states == {NODE.name: "restore: approved, waits for the machine's next start"}
    server.now += timedelta(minutes=20)
    assert isinstance(server.boots_over_the_network(NODE), DeployOS)
    assert server.states() == {NODE.name: _S.ARMED}
    server.now += timedelta(minutes=5)
    server.run()
    assert server.outside.woken == []


def test_work_for_the_next_boot_restarts_no_running_system(serve):
    server = serve(NODE)
    server.reports(NODE)
    for_the_next_boot(server)
    server.approve_all()
    server.run()
    server.now += timedelta(seconds=1)
    server.boots_over_the_network(NODE)
    server.run()
    assert server.states() == {NODE.name: _S.ARMED}
    assert server.plane.reboot_wanted(NODE.name) is None


def test_a_start_of_an_hour_ago_is_not_the_next_one(serve):
    server = serve(NODE)
    server.reports(NODE)
    for_the_next_boot(server)
    server.approve_all()
    server.loop.machines.set_quarantine(NODE.name, NODE.hardware_identities, "no", server.now)
    server.run()
    server.now += timedelta(seconds=1)
    server.boots_over_the_network(NODE)
    server.loop.machines.clear_quarantine(
        NODE.name, NODE.hardware_identities, "ada", "", server.now
    )
    server.now += timedelta(minutes=50)
    server.run()
    assert server.states() == {NODE.name: _S.APPROVED}


def test_work_of_a_time_waits_for_it_and_holds_up_nothing_else(serve):
    server = serve(NODE)
    server.reports(NODE)
    tonight = NOW + timedelta(minutes=30)
    (later,) = server.approve_all(not_before=tonight)
    server.run()
    assert server.states() == {NODE.name: _S.APPROVED}
    assert server.loop.next_time() == tonight
    assert conditions_of_all(server) == {
        NODE.name: "restore: approved, waits for 2026-11-21 12:30 UTC"
    }
    made, _ = server.run_by_hand("capture-golden", NODE)
    by_hand = made.to_apply[0].operation
    server.run()
    states = {each.operation.op_id: each.state for each in server.loop.operations.current()}
    assert states == {later.op_id: _S.APPROVED, by_hand.op_id: _S.ARMED}
    server.plane.fail(*server.loop.operations.active([by_hand.op_id]), "it broke", "test")
    server.now = tonight
    server.run()
    (status,) = server.loop.operations.active([later.op_id])
    assert status.state is _S.ARMED


def conditions_of_all(server):
    fleet = server.loop.fleet
    machines = fleet.machines.values()
    world = observe(server.database, machines, server.outside.images(), server.now)
    found = conditions_of(fleet, machines, FleetHardware(machines), world, server.now)
    return {each.machine: each.reason for each in found}


def test_nothing_destructive_begins_without_a_person(serve):
    server = serve(*CLONES, unattended=True)
    server.reports(*CLONES)
    server.run()
    assert server.states() == {}


def test_a_report_leads_to_a_look_at_its_machine_alone(serve):
    server = serve(*CLONES, unattended=True)
    server.run()
    server.reports(NODE)
    server.loop.ask(NODE.name)
    assert server.run() == 1


def test_safe_work_begins_once_a_quarantine_is_lifted_by_another_process(serve):
    machine = a_machine(1, "capture-golden")
    server = serve(machine, unattended=True)
    server.reports(machine)
    server.loop.machines.set_quarantine(machine.name, machine.hardware_identities, "no", server.now)
    server.waits_in_ram(machine)
    server.run()
    assert server.states() == {}
    identities = machine.hardware_identities
    server.loop.machines.clear_quarantine(machine.name, identities, "ada", "", server.now)
    server.now += QUARANTINE_LOOK
    server.run()
    assert server.states() == {machine.name: _S.ARMED}


def test_many_looks_begin_one_after_another_and_no_more_than_may_be_at_work(serve):
    machines = [a_machine(number, "clone-golden") for number in range(1, 101)]
    server = serve(*machines)
    budget = Budget("fleet", "", "work", at_once=5, per_minute=30)
    settings = server.loop.fleet.settings
    settings = settings._replace(budgets=(budget, *settings.budgets[1:]))
    server.use(replace(server.loop.fleet, settings=settings))
    server.approve_all()
    server.run()
    armed = [list(server.states().values()).count(_S.ARMED)]
    for _ in range(9):
        server.now = server.loop.next_time()
        server.run()
        armed.append(list(server.states().values()).count(_S.ARMED))
    assert server.now - NOW < timedelta(seconds=30)
    assert armed == sorted(armed)
    assert (armed[0], max(armed)) == (1, 5)
    woken = {name for name, _ in server.outside.woken}
    assert woken == {name for name, state in server.states().items() if state is _S.ARMED}


# --- what goes wrong is contained -----------------------------------------------------


def break_machine(server, machine):
    """Let what is recorded of a machine be unreadable."""
    with server.database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE machine_observation SET installed_at = 'never' WHERE hardware = ?",
            (machine.hardware_identity,),
        )


def test_a_machine_that_cannot_be_reconciled_stops_no_other(serve):
    machines = [a_machine(number, "capture-golden") for number in range(1, 9)]
    server = serve(*machines, unattended=True)
    server.reports(*machines, installed=True)
    server.run()
    for machine in machines:
        system = an_installed_system(machine, "earlier")
        server.loop.machines.record_report(
            machine, a_report(machine, a_disk(), installed=system), server.now
        )
    server.approve_all()
    break_machine(server, machines[0])
    with capture_logs() as logs:
        server.run()
    assert set(server.outside.told) == {each.name for each in machines[1:]}
    (fault,) = server.loop.faults.present()
    assert (fault.subject, fault.code) == ("machine/node-01", "RW790")
    said = [line for line in logs if line["event"] == "machine not reconciled" and "code" in line]
    assert [(line["machine"], line["times"]) for line in said] == [("node-01", 1)]
    server.reports(machines[0], installed=True)
    server.now += timedelta(seconds=2)
    server.run()
    assert server.loop.faults.present() == ()
    assert machines[0].name in server.outside.told


def test_an_approval_of_many_is_taken_in_steps_with_nothing_left_out(serve, monkeypatch):
    monkeypatch.setattr(reconcile, "LINES", 4)
    server = serve(*CLONES)
    server.reports(*CLONES)
    assert len(server.approve_all()) == 8
    seen = []
    more = True
    while more:
        more = server.loop.follow_ledger()
        seen.append(len(server.loop.keys_at_work()))
    assert seen == [2, 4, 6, 8, 8]
    assert not server.loop.follow_ledger()


def test_a_machine_that_fails_again_and_again_is_tried_ever_more_seldom(serve):
    server = serve(NODE)
    server.reports(NODE)
    server.approve_all()
    server.loop.follow_ledger()
    with server.database.writing() as connection:
        connection.exec_driver_sql("UPDATE current_operation SET at = 'never'")
    waits = []
    with capture_logs():
        for _ in range(12):
            assert server.loop.step()
            due = server.loop.next_time()
            waits.append((due - server.now).total_seconds())
            server.now = due
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    (fault,) = server.loop.faults.present()
    assert fault.times == 12


def test_the_fault_of_a_machine_that_is_called_otherwise_now_is_over(serve):
    server = serve(NODE)
    server.reports(NODE)
    server.approve_all()
    break_machine(server, NODE)
    server.run()
    server.reports(NODE, installed=True)
    server.use(a_fleet(a_machine(1, "clone-golden", name="otherwise")))
    server.now += timedelta(seconds=2)
    server.run()
    assert server.loop.faults.present() == ()


def test_a_fault_whose_end_cannot_be_written_is_ended_later(serve, monkeypatch):
    server = serve(NODE)
    server.reports(NODE)
    server.approve_all()
    break_machine(server, NODE)
    server.run()
    server.reports(NODE, installed=True)
    end = server.loop.faults.end

    def locked(_):
        monkeypatch.setattr(server.loop.faults, "end", end)
        raise StateError("RW705", "another process holds it", "Wait")

    monkeypatch.setattr(server.loop.faults, "end", locked)
    server.now += timedelta(seconds=2)
    server.run()
    server.now += timedelta(seconds=2)
    server.run()
    assert server.loop.faults.present() == ()


def test_an_agent_that_goes_on_asking_for_work_is_no_news(serve):
    server = serve(NODE, unattended=True)
    server.reports(NODE)
    open_from(server, 3, 4)
    server.run()
    looks = []
    for seconds in (0, 25, 25, 25, 60, 1):
        server.now += timedelta(seconds=seconds)
        server.plane.contact(NODE, "deploy-os")
        looks.append(server.run())
        for each in server.loop.operations.current():  # nothing stays to be done
            server.loop.ledger.move(
                each.operation.op_id,
                each.state,
                _S.CANCELLED,
                attempt=each.attempt,
                at=server.now,
                actor="ada",
                reason="not now",
            )
        server.run()
    server.plane.left(NODE)
    server.plane.contact(NODE, "deploy-os")
    assert [bool(each) for each in (*looks, server.run())] == [
        *(True, False, False, False),
        *(True, False, True),
    ]
