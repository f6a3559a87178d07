"""Work that waits for its turn is compared again with what is wanted: no stale approval acts."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from builders.loop_server import LoopServer
from builders.outside import FakeOutside
from builders.world import (
    CAPTURE,
    CLONE,
    GRANT,
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_image,
    observed,
    ramdisk,
)

from providers.imaging.image_signature import CheckedSignature
from providers.netboot.decision import DeployOS, LocalDisk
from reconciler.app.cancel import Cancellations
from reconciler.loop.approval import approve
from reconciler.loop.decide import BEHIND_LIMIT
from reconciler.planning.approval_lapse import why_lapsed
from reconciler.planning.planner import plan
from reconciler.state.accepted_revisions import AcceptedRevision, AcceptedRevisions
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import OperationState
from reconciler.state.world import observe
from specs.fleet import BackupStep, CompiledHold, DiskRequest

_S = OperationState
FIRST, SECOND = (a_machine(number, "clone-golden") for number in (1, 2))
HOLD = CompiledHold("freeze", NOW + timedelta(hours=1), "ops", "audit", CLONE.position)


def changed(**changes):
    return lambda fleet: of(fleet, **{name: replace(SECOND, **changes) for name in [SECOND.name]})


def of(fleet, **machines):
    return replace(fleet, machines={**fleet.machines, **{m.name: m for m in machines.values()}})


def removed(fleet):
    return replace(fleet, machines={FIRST.name: FIRST})


def held(fleet):
    return replace(changed(holds=("freeze",))(fleet), holds=(HOLD,))


def edited(fleet):
    return replace(fleet, scenarios={**fleet.scenarios, CLONE.name: CLONE._replace(digest="e" * 8)})


def moved(fleet):
    network = fleet.networks["lab"]._replace(nameservers=(IPv4Address("10.77.0.53"),))
    return replace(fleet, networks={"lab": network})


COMMITS = {
    "removed": (removed, "no document, or more than one, has the hardware now"),
    "protected": (
        changed(protect=True),
        "the machine is protected, and clone-golden would overwrite its disk",
    ),
    "held": (held, "the machine is held by ops until 2026-11-21 13:00 UTC: audit"),
    "not assigned": (
        changed(assignments=()),
        "clone-golden run 1 is not assigned to the machine any more",
    ),
    "another run": (
        changed(assignments=(replace(SECOND.assignments[0], run="2"),)),
        "clone-golden run 1 is not assigned to the machine any more",
    ),
    "scenario": (edited, "clone-golden or one of its images was changed"),
    "address": (
        changed(addresses=(IPv4Interface("10.77.0.99/24"),)),
        "the machine's host name, addresses or network were changed",
    ),
    "network": (moved, "the machine's host name, addresses or network were changed"),
}
IMAGES = {
    "another image": (
        [an_image(manifest="c" * 64)],
        "clone-golden or one of its images was changed",
    ),
    "damaged image": (
        [an_image(usable=False, problem="a chunk is damaged")],
        "image debian12 cannot be restored any more: a chunk is damaged",
    ),
    "image of another server": (
        [an_image(signature=CheckedSignature("bad", problem="a stranger's"))],
        f"RW447: image debian12 ({an_image().manifest[:12]}) must not be restored: a stranger's",
    ),
    "no image": ([], "image debian12 cannot be restored any more: it is gone"),
}


@pytest.fixture
def server(tmp_path):
    """Return a server that armed the first machine and lets the second wait for the budget."""
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(FIRST, SECOND))
    server.reports(FIRST, SECOND)
    server.approved = {each.machine: each for each in server.approve_all()}
    server.run()
    assert server.states() == {"node-01": _S.ARMED, "node-02": _S.APPROVED}
    yield server
    server.close()


def let_second_begin(server):
    (status,) = server.loop.ledger.operations(op_id=server.approved["node-01"].op_id)
    server.plane.fail(status, "it did not work out", "test")
    server.run()


def reason(server, machine="node-02"):
    (status,) = server.loop.ledger.operations(op_id=server.approved[machine].op_id)
    return status.state, status.reason


@pytest.mark.parametrize(("commit", "why"), COMMITS.values(), ids=COMMITS)
@pytest.mark.parametrize("is_armed", [False, True], ids=["waits", "armed"])
def test_what_a_commit_takes_back_is_not_begun(server, commit, why, is_armed):
    if is_armed:
        let_second_begin(server)
        assert reason(server)[0] is _S.ARMED
    server.use(commit(server.loop.fleet))
    server.run()
    assert reason(server) == (_S.PLANNED, f"RW616: {why}. Nothing was begun.")
    assert server.boots_over_the_network(SECOND) == LocalDisk("no grant")
    assert server.plane.work(SECOND.name) is None


@pytest.mark.parametrize(("images", "why"), IMAGES.values(), ids=IMAGES)
def test_an_image_that_is_another_takes_the_approval_back(server, images, why):
    server.outside._images = FakeOutside(*images)._images
    let_second_begin(server)
    assert reason(server) == (_S.PLANNED, f"RW616: {why}. Nothing was begun.")


@pytest.mark.parametrize("commit", [each for each, _ in COMMITS.values()], ids=COMMITS)
def test_a_claim_that_comes_before_the_loops_next_look_is_refused(server, commit):
    let_second_begin(server)
    answer = server.boots_over_the_network(SECOND)
    assert isinstance(answer, DeployOS)
    op_id = server.approved["node-02"].op_id
    fleet = server.loop.fleet
    server.use(commit(fleet))
    assert not server.plane.claim(SECOND.name, op_id, answer.grant.attempt)
    server.run()
    assert reason(server)[0] is _S.PLANNED
    server.use(fleet)
    assert not server.plane.claim(SECOND.name, op_id, answer.grant.attempt)


def test_a_running_system_is_not_restarted_for_work_that_is_not_wanted_any_more(server):
    let_second_begin(server)
    assert server.plane.reboot_wanted(SECOND.name) is not None
    server.use(changed(protect=True)(server.loop.fleet))
    assert not server.plane.claim_reboot(SECOND.name, 1)


def test_what_changes_nothing_for_the_machine_leaves_its_approval(server):
    let_second_begin(server)
    fleet = of(server.loop.fleet, first=replace(FIRST, protect=True, labels={"role": "compute"}))
    server.use(of(fleet, second=replace(SECOND, labels={"role": "storage"}, serial="S")))
    server.run()
    assert reason(server)[0] is _S.ARMED
    answer = server.boots_over_the_network(SECOND)
    assert server.plane.claim(SECOND.name, answer.grant.operation, answer.grant.attempt)


def accept(server, commit):
    """Accept a commit as another process does that applies it."""
    AcceptedRevisions(Path("/"), lambda: server.database).add(
        AcceptedRevision(commit, ".", server.now, "ada", "unsigned")
    )


def test_who_approves_may_know_a_newer_commit_than_the_server(server):
    older = server.loop.fleet
    newer = replace(
        changed(assignments=(replace(SECOND.assignments[0], run="2"),))(older), revision="beef"
    )
    cancellations = Cancellations(server.database, older)
    for each in cancellations.of_machines([FIRST, SECOND]):
        cancellations.cancel(each, "ada", "something else", server.now)
    server.now += timedelta(seconds=1)
    seen = observe(server.database, newer.machines.values(), server.outside.images(), server.now)
    made = plan(newer, seen, server.now)
    accept(server, "beef")
    approve(Ledger(server.database), made, made.to_apply, "ada", server.now)
    server.run()
    assert server.loop.work_of("node-02")[0].state is _S.APPROVED
    server.now += timedelta(seconds=1)
    server.use(replace(older, revision="cafe"))  # one that was on its way still
    server.run()
    assert server.loop.work_of("node-02")[0].state is _S.APPROVED
    assert server.now < server.loop.next_time() <= server.now + BEHIND_LIMIT
    server.use(newer)
    server.run()
    assert server.loop.work_of("node-02")[0].state is _S.ARMED


def test_nothing_begins_while_a_newer_commit_is_accepted_and_not_taken(server):
    let_second_begin(server)
    answer = server.boots_over_the_network(SECOND)
    accept(server, "beef")
    assert not server.plane.claim(SECOND.name, answer.grant.operation, answer.grant.attempt)
    assert not server.plane.claim_reboot(SECOND.name, answer.grant.attempt)
    server.use(replace(server.loop.fleet, revision="beef"))
    assert server.plane.claim(SECOND.name, answer.grant.operation, answer.grant.attempt)


def test_a_commit_that_never_comes_is_not_waited_for(server):
    accept(server, "beef")
    let_second_begin(server)
    assert reason(server)[0] is _S.APPROVED
    due = server.now + BEHIND_LIMIT
    server.now = due
    assert server.run() <= 2, "it comes to rest in this very moment too"
    assert reason(server)[0] is _S.APPROVED
    server.now = server.loop.next_time()
    server.run()
    assert reason(server)[0] is _S.ARMED


def test_what_lapsed_and_was_approved_by_a_later_commit_begins_at_once(server):
    let_second_begin(server)
    fleet = server.loop.fleet
    server.use(replace(changed(protect=True)(fleet), revision="c2"))
    server.run()
    server.use(replace(fleet, revision="c3"))
    server.reports(SECOND)
    server.now += timedelta(seconds=1)
    server.approve_all()
    server.run()
    assert reason(server)[0] is _S.ARMED


@pytest.mark.parametrize("commit", [each for each, _ in COMMITS.values()], ids=COMMITS)
def test_what_an_earlier_attempt_began_is_finished(server, commit):
    let_second_begin(server)
    answer = server.boots_over_the_network(SECOND)
    assert server.plane.claim(SECOND.name, answer.grant.operation, answer.grant.attempt)
    again = server.restarts(SECOND)
    assert (reason(server)[0], again.grant.attempt) == (_S.ARMED, 2)
    server.use(commit(server.loop.fleet))
    server.run()
    assert reason(server)[0] is _S.ARMED
    machine = server.loop.machine_by_mac(SECOND.macs[0])
    key = machine.name if machine else SECOND.hardware_identity
    assert server.plane.claim(key, again.grant.operation, 2)


def test_work_in_quarantine_that_an_earlier_attempt_began_does_not_end_by_itself(server):
    let_second_begin(server)
    answer = server.boots_over_the_network(SECOND)
    assert server.plane.claim(SECOND.name, answer.grant.operation, answer.grant.attempt)
    server.restarts(SECOND)
    server.loop.machines.set_quarantine(
        SECOND.name, SECOND.hardware_identities, "alarm", server.now
    )
    server.now += 2 * GRANT
    server.loop.ask(SECOND.name)
    server.run()
    assert reason(server)[0] is _S.ARMED


def test_work_that_began_is_followed_to_its_end(server):
    let_second_begin(server)
    answer = server.boots_over_the_network(SECOND)
    assert server.plane.claim(SECOND.name, answer.grant.operation, answer.grant.attempt)
    server.use(removed(server.loop.fleet))
    server.run()
    assert reason(server)[0] is _S.STARTED


def test_what_lapsed_is_planned_anew_and_can_be_approved_again(server):
    let_second_begin(server)
    fleet = server.loop.fleet
    server.use(changed(protect=True)(fleet))
    server.run()
    assert [each.machine for each in server.approve_all()] == []
    server.use(fleet)
    server.reports(SECOND)
    (again,) = server.approve_all()
    assert again.op_id == server.approved["node-02"].op_id
    server.run()
    assert reason(server)[0] is _S.ARMED
    (begun,) = (each for each in server.loop.operations.work_begun(NOW) if each.at_work)
    assert begun.op_id == again.op_id
    answer = server.boots_over_the_network(SECOND)
    assert answer.grant.attempt == 2
    assert server.plane.claim(SECOND.name, again.op_id, 2)


def test_what_lapsed_gives_its_place_in_the_budget_to_the_next(server):
    server.use(of(server.loop.fleet, first=replace(FIRST, protect=True)))
    server.run()
    assert server.states() == {"node-01": _S.PLANNED, "node-02": _S.ARMED}


def test_an_approval_that_lapsed_is_forgotten_once_other_work_of_the_run_ended(server):
    let_second_begin(server)
    server.use(edited(server.loop.fleet))
    server.run()
    (other,) = server.approve_all()
    assert other.op_id != server.approved["node-02"].op_id
    server.now += 6 * GRANT
    for _ in range(6):
        server.run()
        server.now += GRANT + timedelta(seconds=1)
    mine = [
        each.operation.op_id
        for each in server.loop.operations.current()
        if each.operation.machine == "node-02"
    ]
    assert mine == [other.op_id]


def test_a_look_at_a_machine_is_wanted_as_long_as_the_machine_is(tmp_path):
    server = LoopServer(tmp_path / "other.db", a_fleet(FIRST), unattended=True)
    server.waits_in_ram(FIRST, SECOND)
    server.run()
    assert server.states() == {"node-01": _S.ARMED}
    server.use(a_fleet(replace(FIRST, assignments=(), protect=True)))
    server.run()
    assert server.states() == {"node-01": _S.ARMED}
    server.use(a_fleet(SECOND))
    server.run()
    assert server.states() == {"node-01": _S.PLANNED, "node-02": _S.ARMED}
    server.use(held(a_fleet(SECOND)))
    server.run()
    assert server.states() == {"node-01": _S.PLANNED, "node-02": _S.PLANNED}
    server.close()


def test_a_protection_that_outlived_its_document_takes_the_approval_back(server):
    disk = a_report(SECOND, a_disk("node-02"))
    assert disk.disks
    open_machine = replace(SECOND, protect=None)
    server.use(of(server.loop.fleet, second=open_machine))
    server.run()
    with server.database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO protection (identity, place, at) VALUES (?, 'fleet.yaml:7', ?)",
            (SECOND.hardware_identity, NOW.isoformat()),
        )
    let_second_begin(server)
    state, why = reason(server)
    assert state is _S.PLANNED
    assert why.startswith("RW616: the machine was protected at fleet.yaml:7")


def test_a_machine_that_was_protected_meanwhile_is_not_repaired():
    repairing = CAPTURE._replace(steps=(BackupStep("own", DiskRequest(), repair=True),))
    golden = a_machine(3, CAPTURE.name)
    fleet = replace(a_fleet(golden), scenarios={CAPTURE.name: repairing})
    seen = ramdisk(golden, a_disk())
    operation = plan(fleet, observed({golden.name: seen}), NOW).items[0].operation
    protected = replace(golden, protect=True)
    for machine, why in (
        (golden, ""),
        (
            protected,
            "the machine is protected, and capture-golden would repair file systems on its disk",
        ),
    ):
        assert why_lapsed(fleet, machine, seen, {}, operation, NOW) == why
