from dataclasses import replace
from datetime import timedelta

import pytest
from attrs import evolve
from builders.failing_server import disk_full
from builders.outside import FakeOutside
from builders.signing_request import a_csr
from builders.world import (
    GRANT,
    NOW,
    PROOF,
    SILENCE,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_image,
    an_installed_system,
    observed,
    ramdisk,
)

from agent import failpoint
from agent.wire.enrollment import EnrollmentRequest
from agent.wire.step import ApplyIdentity
from agent.wire.work import OnError, OperationEvent, TimeLimit
from providers.netboot.decision import AskAgain, BootRequest, DeployOS, LocalDisk
from reconciler.app.status import conditions_of
from reconciler.errors import StateError, TrustError
from reconciler.loop.approval import approve
from reconciler.loop.decide import RESTART_SILENCE
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.item import Risk
from reconciler.planning.planner import plan
from reconciler.planning.unattended import may_take, unattended
from reconciler.server.boots import CREDENTIALS_LIFETIME, BootDecisions
from reconciler.server.control_plane import AgentEndpoint, ControlPlane
from reconciler.server.enrollment import Enroller
from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import ObservedMachine
from reconciler.state.operation_states import OperationState
from reconciler.state.world import observe
from reconciler.trust.authority import Authority
from specs.fleet import Budget

NODE = a_machine(1, "clone-golden")
MAC = NODE.macs[0]


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        self.now += timedelta(microseconds=1)
        return self.now

    def pass_time(self, **amount):
        self.now += timedelta(**amount)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def database(tmp_path):
    database = open_database(tmp_path / "rackwright.db")
    yield database
    database.close()


class Plane(ControlPlane):
    """The control plane with its loop and its boots, driven by hand."""

    def __init__(self, database, fleet, clock, **settings):
        self.outside = FakeOutside(an_image())
        hardware = FleetHardware(fleet.machines.values())
        reconciler = Reconciler(database, fleet, hardware, self.outside, clock, **settings)
        endpoint = AgentEndpoint("https://10.77.0.1:8443", "f" * 64)
        super().__init__(database, reconciler, endpoint, clock)
        self.boots = BootDecisions(self, reconciler, clock)

    def use(self, fleet):
        self.reconciler.use(fleet, FleetHardware(fleet.machines.values()))

    def reconcile(self):
        """Do what a running server does until nothing is due."""
        self.reconciler.follow_ledger()
        for _ in range(100):
            if not self.reconciler.step():
                return
        raise AssertionError("the loop does not come to rest")

    def observed(self):
        self.reconciler.boots.write_all()
        fleet = self.reconciler.fleet
        return observe(self._database, fleet.machines.values(), self.outside.images(), self.now())


@pytest.fixture
def plane(database, clock):
    plane = Plane(database, a_fleet(NODE), clock)
    plane.machines.record_report(NODE, a_report(NODE, a_disk()), clock())
    return plane


@pytest.fixture
def enroller(plane, tmp_path, clock):
    authority = Authority.load_or_create(tmp_path / "trust", clock())
    serials = iter(range(1, 1000))
    return Enroller(plane, authority, lambda: next(serials))


@pytest.fixture
def approved(plane, clock):
    made = plan(plane.reconciler.fleet, plane.observed(), clock())
    approve(plane.ledger, made, made.to_apply, "ada", clock())
    return made.to_apply[0].operation


def a_request(token, csr=None, **changes):
    values = {
        "token": token,
        "csr": csr or a_csr(),
        "environment": "deploy-os",
        "macs": (MAC,),
        "uuid": NODE.uuid,
        "agent_version": "1",
    }
    return EnrollmentRequest(**{**values, **changes})


def firmware_asks(plane, mac=MAC, uuid=NODE.uuid):
    return plane.boots.decide(BootRequest("dhcp", mac, uuid, 0, "0.0.0.0", "DISCOVER"))  # noqa: S104


def state(plane, operation):
    (status,) = plane.ledger.operations(op_id=operation.op_id)
    return status.state, status.attempt


def started(plane):
    """Bring the approved operation to its start over a network boot."""
    plane.reconcile()
    answer = firmware_asks(plane)
    assert plane.claim(NODE.name, answer.grant.operation, answer.grant.attempt)
    return answer.grant


def test_without_an_approved_operation_every_machine_boots_its_disk(plane):
    assert firmware_asks(plane) == LocalDisk("no grant")
    assert firmware_asks(plane, mac="52:54:00:ff:ff:ff") == LocalDisk("no grant")


def test_approval_alone_grants_no_boot_before_it_is_armed(plane, approved):
    request = BootRequest("http", MAC, "", None, "10.77.0.9", "script")
    assert plane.boots.decide(request) == LocalDisk("no grant")
    assert state(plane, approved) == (OperationState.APPROVED, 0)


def test_an_armed_machine_is_to_be_woken_and_boots_the_deploy_os(plane, approved):
    plane.reconcile()
    assert plane.outside.woken == [(NODE.name, approved.op_id)]
    assert plane.outside.told == [NODE.name]
    answer = firmware_asks(plane)
    assert isinstance(answer, DeployOS)
    assert answer.grant.operation == approved.op_id


def test_a_grant_is_for_one_machine_alone(plane, approved):
    plane.reconcile()
    assert firmware_asks(plane, mac="52:54:00:ff:ff:ff") == LocalDisk("no grant")
    stranger = firmware_asks(plane, uuid="77000000-0000-4000-8000-ffffffffffff")
    assert isinstance(stranger, LocalDisk)
    assert state(plane, approved) == (OperationState.ARMED, 1)


def test_a_claimed_grant_boots_nothing_again(plane, approved):
    started(plane)
    assert state(plane, approved) == (OperationState.STARTED, 1)
    request = BootRequest("tftp", MAC, "", None, "10.77.0.9", "script")
    assert plane.boots.decide(request) == LocalDisk("no grant")


def test_a_claim_whose_answer_got_lost_may_be_repeated_until_the_work_speaks(
    plane, approved, clock
):
    grant = started(plane)
    assert plane.claim(NODE.name, grant.operation, grant.attempt)
    event = OperationEvent(attempt=1, sequence=1, kind="step-started", step=0)
    plane.ledger.record_progress(approved.op_id, event, clock())
    assert not plane.claim(NODE.name, grant.operation, grant.attempt)


def test_work_whose_claim_was_not_answered_is_handed_out_until_it_speaks(plane, approved, clock):
    grant = started(plane)
    work = plane.work(NODE.name)
    assert (work.operation, work.attempt) == (approved.op_id, grant.attempt)
    event = OperationEvent(attempt=1, sequence=1, kind="step-started", step=0)
    plane.ledger.record_progress(approved.op_id, event, clock())
    assert plane.work(NODE.name) is None


def test_five_forged_boot_requests_restart_nothing_and_use_up_no_attempt(plane, approved, clock):
    started(plane)
    for number in range(1, 6):
        clock.now += timedelta(seconds=1)
        event = OperationEvent(attempt=1, sequence=number, kind="progress", step=1)
        plane.ledger.record_progress(approved.op_id, event, clock())
        assert isinstance(firmware_asks(plane), AskAgain)
        clock.now += timedelta(seconds=1)
        assert isinstance(firmware_asks(plane), AskAgain)
    clock.now += timedelta(seconds=1)
    event = OperationEvent(attempt=1, sequence=9, kind="progress", step=1)
    plane.ledger.record_progress(approved.op_id, event, clock())
    script = BootRequest("http", MAC, "", None, "10.77.0.9", "script")
    assert plane.boots.decide(script) == LocalDisk("no grant"), "the agent spoke: no restart"
    clock.now += RESTART_SILENCE
    plane.reconcile()
    assert state(plane, approved) == (OperationState.STARTED, 1)


def test_a_report_is_news_where_anything_but_the_uptime_is_another(plane):
    report = a_report(NODE, a_disk(), installed=an_installed_system(NODE, ""))
    assert plane.reported(NODE, report)
    later = evolve(report, uptime=report.uptime + 60)
    assert not plane.reported(NODE, later)
    assert plane.machines.heard == 1, "it is written with others"
    assert plane.reported(NODE, evolve(later, problems=("RW559: something",)))
    assert plane.reported(NODE, a_report(NODE, a_disk())), "another system runs"


def test_a_report_that_could_not_be_kept_is_news_once_more(plane, monkeypatch):
    def full(reached, _what):
        if reached == "transaction.before":
            raise disk_full(reached)

    report = a_report(NODE, a_disk())
    with monkeypatch.context() as patched:
        patched.setattr(failpoint, "watch", full)
        with pytest.raises(StateError, match="RW706"):
            plane.reported(NODE, report)
    assert plane.reported(NODE, report)


@pytest.mark.usefixtures("approved")
def test_a_machine_with_work_is_looked_at_whatever_it_reports(plane):
    plane.reconcile()
    report = a_report(NODE, a_disk())
    for _ in range(2):
        plane.reported(NODE, report)
        assert plane.machines.heard == 0, "it is kept at once"
        assert plane.reconciler.queue.pop(plane.now()) == NODE.name


def test_a_forged_request_gets_no_token_while_an_agent_waits_for_work(plane, approved, clock):
    plane.machines.record_contact(NODE, "deploy-os", clock())
    plane.reconcile()
    assert firmware_asks(plane) == AskAgain(
        "an agent that waits for work was heard on this machine moments ago"
    )
    assert plane.outside.woken == []
    assert plane.claim(NODE.name, approved.op_id, 1)


def test_an_installed_system_is_asked_to_restart_once_per_attempt(plane, approved, clock):
    plane.reconcile()
    assert plane.reboot_wanted(NODE.name).operation == approved
    assert plane.claim_reboot(NODE.name, 1)
    assert plane.reboot_wanted(NODE.name) is None
    assert not plane.claim_reboot(NODE.name, 1)
    clock.now += GRANT + timedelta(seconds=1)
    plane.reconcile()
    assert plane.reboot_wanted(NODE.name).attempt == 2


def test_another_machine_cannot_claim_the_work(plane, approved):
    plane.reconcile()
    assert not plane.claim("node-02", approved.op_id, 1)
    assert state(plane, approved) == (OperationState.ARMED, 1)


def test_an_expired_grant_boots_the_local_disk_until_it_is_given_anew(plane, approved, clock):
    plane.reconcile()
    clock.now += GRANT + timedelta(seconds=1)
    request = BootRequest("http", MAC, "", None, "10.77.0.9", "script")
    assert plane.boots.decide(request) == LocalDisk("no grant")
    plane.reconcile()
    assert state(plane, approved) == (OperationState.ARMED, 2)


def test_a_restart_in_the_middle_is_answered_with_the_same_work_at_a_new_attempt(
    plane, approved, clock
):
    first = started(plane)
    assert firmware_asks(plane) == AskAgain(
        "an agent at work was heard on this machine moments ago"
    )
    assert state(plane, approved) == (OperationState.STARTED, 1)
    clock.now += RESTART_SILENCE
    answer = firmware_asks(plane)
    assert isinstance(answer, DeployOS)
    assert (answer.grant.operation, answer.grant.attempt) == (approved.op_id, 2)
    assert plane.started(NODE.name, first.operation, 1) is None
    assert plane.claim(NODE.name, approved.op_id, 2)


def test_a_restart_after_the_last_step_boots_the_restored_disk(plane, approved, clock):
    started(plane)
    done = OperationEvent(attempt=1, sequence=9, kind="done", step=3)
    plane.ledger.record_progress(approved.op_id, done, clock())
    assert firmware_asks(plane) == LocalDisk("no grant")


def test_work_carries_a_token_for_the_installed_agent_that_the_ledger_never_sees(
    plane, approved, database
):
    plane.reconcile()
    work = plane.work(NODE.name)
    (identity,) = [step for step in work.steps if isinstance(step, ApplyIdentity)]
    assert len(identity.agent_token) == 43
    assert (identity.server, identity.pin) == ("https://10.77.0.1:8443", "f" * 64)
    assert identity.operation == approved.op_id
    with database.reading() as connection:
        dump = "\n".join(connection.connection.iterdump())
    assert identity.agent_token not in dump


def test_the_installed_agent_of_this_operation_verifies_it(plane, approved, clock):
    started(plane)
    done = OperationEvent(attempt=1, sequence=9, kind="done", step=3)
    plane.ledger.record_progress(approved.op_id, done, clock())
    system = an_installed_system(NODE, approved.op_id)
    plane.machines.record_report(NODE, a_report(NODE, installed=system), clock())
    plane.reconcile()
    assert state(plane, approved) == (OperationState.VERIFIED, 1)
    assert plan(plane.reconciler.fleet, plane.observed(), clock()).empty


@pytest.mark.usefixtures("approved")
def test_a_boot_script_carries_a_token_that_enrols_once(plane, enroller):
    plane.reconcile()
    credentials = plane.boots.credentials(firmware_asks(plane).grant)
    csr = a_csr()
    first = enroller.enroll(a_request(credentials.token, csr), "10.77.0.101")
    assert first.machine == NODE.name
    again = enroller.enroll(a_request(credentials.token, csr), "10.77.0.101")
    assert again.machine == NODE.name
    with pytest.raises(
        TrustError, match="RW543: the token was used before; node-01 is quarantined"
    ):
        enroller.enroll(a_request(credentials.token), "10.77.0.66")
    seen = plane.observed().machines[NODE.name]
    assert seen.quarantine == (
        "its enrollment token was used twice, first from 10.77.0.101, then from 10.77.0.66"
    )


@pytest.mark.usefixtures("approved")
def test_a_second_boot_script_makes_the_first_token_void(plane, enroller):
    plane.reconcile()
    grant = firmware_asks(plane).grant
    first, second = plane.boots.credentials(grant), plane.boots.credentials(grant)
    with pytest.raises(TrustError, match="RW540: the token is not known"):
        enroller.enroll(a_request(first.token), "10.77.0.101")
    assert enroller.enroll(a_request(second.token), "10.77.0.101").machine == NODE.name


@pytest.mark.usefixtures("approved")
def test_a_token_expires(plane, enroller, clock):
    plane.reconcile()
    credentials = plane.boots.credentials(firmware_asks(plane).grant)
    clock.now += CREDENTIALS_LIFETIME + timedelta(seconds=1)
    with pytest.raises(TrustError, match="RW541: the token has expired"):
        enroller.enroll(a_request(credentials.token), "10.77.0.101")


@pytest.mark.usefixtures("approved")
@pytest.mark.parametrize(
    "changes",
    [
        {"macs": ("52:54:00:ff:ff:ff",)},
        {"macs": ()},
        {"uuid": "77000000-0000-4000-8000-ffffffffffff"},
    ],
)
def test_a_token_does_not_enrol_other_hardware(plane, enroller, changes):
    plane.reconcile()
    credentials = plane.boots.credentials(firmware_asks(plane).grant)
    with pytest.raises(TrustError, match="RW542: the token is for node-01, but the hardware"):
        enroller.enroll(a_request(credentials.token, **changes), "10.77.0.101")


@pytest.mark.usefixtures("approved")
def test_a_token_of_the_ram_system_does_not_enrol_an_installed_one(plane, enroller):
    plane.reconcile()
    credentials = plane.boots.credentials(firmware_asks(plane).grant)
    with pytest.raises(TrustError, match="RW540"):
        enroller.enroll(a_request(credentials.token, environment="installed"), "10.77.0.101")


@pytest.mark.usefixtures("approved")
def test_no_credentials_are_given_for_a_grant_that_was_claimed(plane):
    assert plane.boots.credentials(started(plane)) is None


def test_a_quarantined_machine_gets_no_further_work(plane, approved):
    plane.reconcile()
    plane.machines.set_quarantine(NODE.name, NODE.hardware_identities, "alarm", NOW)
    assert plane.work(NODE.name) is None
    assert not plane.claim(NODE.name, approved.op_id, 1)
    assert firmware_asks(plane) == LocalDisk("no grant")


def test_the_machine_is_known_by_its_hardware_after_a_rename(plane):
    renamed = replace(NODE, name="database-1")
    plane.use(a_fleet(renamed))
    assert plane.observed().machines["database-1"].ramdisk is not None


@pytest.mark.parametrize(
    ("machine", "contact", "starts"),
    [
        (a_machine(2, "capture-golden"), NOW, True),
        (a_machine(3, "clone-golden"), NOW, True),
        (a_machine(2, "capture-golden"), None, False),
        (a_machine(3, "clone-golden"), None, False),
        (a_machine(3, "clone-golden"), NOW - timedelta(minutes=2), False),
    ],
)
def test_the_server_starts_by_itself_only_what_harms_nobody(machine, contact, starts):
    seen = ObservedMachine(ramdisk_contact=contact)
    made = plan(a_fleet(machine), observed({machine.name: seen}, (an_image(),)), NOW)
    assert len(made.to_apply) == 1
    may = may_take(seen, NOW, in_window=False)
    assert unattended(made, lambda _item: may) == (made.to_apply if starts else ())


def test_the_server_overwrites_nothing_by_itself():
    seen = replace(ramdisk(NODE, a_disk()), ramdisk_contact=NOW)
    made = plan(a_fleet(NODE), observed({NODE.name: seen}, (an_image(),)), NOW)
    assert made.to_apply
    assert unattended(made, lambda _item: True) == ()


def test_a_machine_that_is_renamed_at_work_boots_and_finishes_it(plane, approved):
    plane.reconcile()
    plane.use(a_fleet(replace(NODE, name="database-1")))
    answer = firmware_asks(plane)
    assert isinstance(answer, DeployOS)
    assert plane.work("database-1").operation == approved.op_id
    assert plane.claim("database-1", approved.op_id, answer.grant.attempt)
    assert plane.at_work("database-1").operation.op_id == approved.op_id


def test_a_certificate_of_an_earlier_name_is_the_renamed_machines(plane, enroller, approved):
    plane.reconcile()
    credentials = plane.boots.credentials(firmware_asks(plane).grant)
    enroller.enroll(a_request(credentials.token), "10.77.0.101")
    newcomer = a_machine(9, name=NODE.name)
    plane.use(a_fleet(replace(NODE, name="database-1"), newcomer))
    assert plane.machine_of_agent(approved.machine).name == "database-1"
    assert not plane.claim("database-9", approved.op_id, 1)


def test_interrupting_a_running_system_is_remembered_for_the_budget_of_disruptive_work(
    database, clock
):
    first, second = (a_machine(number, "capture-golden") for number in (2, 3))
    fleet = a_fleet(first, second)
    budgets = (*fleet.settings.budgets[:2], Budget("fleet", "", "disruptive", 1))
    fleet = replace(fleet, settings=fleet.settings._replace(budgets=budgets))
    plane = Plane(database, fleet, clock)
    for machine in (first, second):
        system = an_installed_system(machine, "earlier")
        report = a_report(machine, a_disk(), installed=system)
        plane.machines.record_report(machine, report, clock())
    made = plan(fleet, plane.observed(), clock())
    assert [item.risk for item in made.items] == [Risk.DISRUPTIVE, Risk.DISRUPTIVE]
    approve(plane.ledger, made, made.to_apply, "ada", clock())

    def standing():
        return {each.operation.machine: each.state for each in plane.ledger.under_way()}

    held = {first.name: OperationState.ARMED, second.name: OperationState.APPROVED}
    plane.reconcile()
    assert standing() == held
    plane.reconcile()
    assert standing() == held
    seen = plane.observed()
    machines = fleet.machines.values()
    states = conditions_of(fleet, machines, FleetHardware(machines), seen, clock())
    assert [state.reason for state in states] == [
        "capture: armed",
        "capture: approved, waits for the fleet's disruptive budget (1 at once)",
    ]
    (armed,) = (each for each in plane.ledger.under_way() if each.state is OperationState.ARMED)
    plane.fail(armed, "it did not work out", "test")
    plane.reconcile()
    assert standing() == {second.name: OperationState.ARMED}
    assert len(plane.observed().work_begun) == 2


def handed_out(plane):
    plane.reconcile()
    firmware_asks(plane)
    return plane.work(NODE.name)


@pytest.mark.usefixtures("approved")
def test_work_has_its_time_limit_and_what_the_machine_does_after_a_failure(plane):
    work = handed_out(plane)
    assert work.on_error == OnError("local-boot", 60)
    # Half a minute less than the server waits: the agent can say which step it was.
    assert work.limits == (TimeLimit(0, 2, 7170),)
    assert not work.disks_written


@pytest.mark.usefixtures("approved")
def test_a_later_attempt_knows_that_an_earlier_one_may_have_written(plane, clock):
    for step, written in ((0, False), (1, True)):
        grant = started(plane)
        plane.ledger.record_progress(
            grant.operation, OperationEvent(grant.attempt, 1, "step-started", step), clock()
        )
        clock.pass_time(minutes=1)
        firmware_asks(plane)
        clock.pass_time(seconds=31)
        firmware_asks(plane)
        plane.reconciler.boots.write_all()
        plane.reconciler.ask(NODE.name)
        assert handed_out(plane).disks_written is written


# --- the truth that arrives late --------------------------------------------------------


def says(plane, operation, kind, sequence):
    event = OperationEvent(attempt=1, sequence=sequence, kind=kind, step=2)
    assert plane.ledger.record_progress(operation.op_id, event, plane.now())
    plane.reconciler.ask(NODE.name)


def fallen_silent(plane, operation, clock, *, kind="progress", wait=SILENCE):
    """Let the work begin, say something, and end for silence."""
    started(plane)
    says(plane, operation, kind, 1)
    plane.reconcile()
    clock.pass_time(seconds=wait.total_seconds() + 1)
    plane.reconcile()


def proves(plane, operation):
    report = a_report(NODE, a_disk(), installed=an_installed_system(NODE, operation.op_id))
    plane.reported(NODE, report)
    plane.reconciler.ask(NODE.name)


def reasons(plane, operation):
    return [(line.state, line.reason) for line in plane.ledger.history(operation.op_id)]


def test_silent_work_whose_agent_is_heard_again_goes_on_to_its_end(plane, approved, clock):
    fallen_silent(plane, approved, clock)
    assert state(plane, approved) == (OperationState.INDETERMINATE, 1)
    assert plane.may_be_heard_yet(NODE.name)
    assert plane.heard_after_all(NODE.name, approved.op_id, 2) is None
    assert plane.heard_after_all(NODE.name, approved.op_id, 1).state is OperationState.STARTED
    assert reasons(plane, approved)[-1] == (
        OperationState.STARTED,
        "RW631: its agent is heard after all",
    )
    assert not plane.may_be_heard_yet(NODE.name)
    assert plane.reconciler.has_work(NODE.name)
    says(plane, approved, "done", 9)
    proves(plane, approved)
    plane.reconcile()
    assert state(plane, approved) == (OperationState.VERIFIED, 1)
    assert plan(plane.reconciler.fleet, plane.observed(), clock()).empty


def test_work_that_goes_on_counts_in_the_budgets_again(database, clock):
    second = a_machine(2, "clone-golden")
    plane = Plane(database, a_fleet(NODE, second, at_once=1, per_hour=100), clock)
    for machine in (NODE, second):
        report = a_report(machine, a_disk(machine.name))
        plane.machines.record_report(machine, report, clock())
    made = plan(plane.reconciler.fleet, plane.observed(), clock())
    operations = {item.machine: item.operation for item in made.to_apply}
    approve(plane.ledger, made, made.to_apply, "ada", clock())
    started(plane)
    says(plane, operations[NODE.name], "progress", 1)
    plane.reconcile()
    clock.pass_time(seconds=SILENCE.total_seconds() + 1)
    assert plane.reconciler.step()  # the silent one ends
    assert state(plane, operations[NODE.name])[0] is OperationState.INDETERMINATE
    assert plane.heard_after_all(NODE.name, operations[NODE.name].op_id, 1)
    plane.reconcile()
    assert state(plane, operations["node-02"])[0] is OperationState.APPROVED
    again = Plane(database, plane.reconciler.fleet, clock)
    again.reconcile()
    assert state(again, operations["node-02"])[0] is OperationState.APPROVED


def test_a_system_that_reports_late_is_proved(plane, approved, clock):
    fallen_silent(plane, approved, clock, kind="done", wait=PROOF)
    assert state(plane, approved) == (OperationState.FAILED, 1)
    proves(plane, approved)
    assert reasons(plane, approved)[-1] == (
        OperationState.VERIFIED,
        "RW631: node-01 started from its own disk and its agent reported after all",
    )
    plane.reconcile()
    assert plan(plane.reconciler.fleet, plane.observed(), clock()).empty


def test_what_a_person_said_of_silent_work_stands(plane, approved, clock):
    fallen_silent(plane, approved, clock)
    plane.ledger.move(
        approved.op_id,
        OperationState.INDETERMINATE,
        OperationState.CANCELLED,
        attempt=1,
        at=clock(),
        actor="ada",
        reason="the disk was replaced",
    )
    assert plane.heard_after_all(NODE.name, approved.op_id, 1) is None
    proves(plane, approved)
    assert state(plane, approved) == (OperationState.CANCELLED, 1)


def test_silent_work_stands_once_other_work_began_on_its_machine(plane, approved, clock):
    fallen_silent(plane, approved, clock, kind="done", wait=PROOF)
    other = replace(approved, op_id="0" * 32, scenario="another")
    plane.ledger.plan(other, clock(), "ada")
    for before, after in (
        (OperationState.PLANNED, OperationState.APPROVED),
        (OperationState.APPROVED, OperationState.ARMED),
    ):
        assert plane.may_be_heard_yet(NODE.name)
        plane.ledger.move(other.op_id, before, after, attempt=1, at=clock(), actor="ada", reason="")
    assert not plane.may_be_heard_yet(NODE.name)
    assert plane.heard_after_all(NODE.name, approved.op_id, 1) is None
    proves(plane, approved)
    assert state(plane, approved) == (OperationState.FAILED, 1)
