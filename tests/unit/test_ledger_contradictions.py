"""What agents know and the ledger does not blocks their machine, and of two the whole fleet."""

from dataclasses import replace
from datetime import timedelta

import pytest
from attrs import evolve
from builders.loop_server import LoopServer
from builders.world import NOW, a_disk, a_fleet, a_machine, a_report, an_installed_system

from agent.wire.work import OperationEvent
from reconciler.server.contradictions import Contradictions
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.operation_states import OperationState

NODES = tuple(a_machine(number, "clone-golden") for number in (1, 2, 3))
ONE, TWO, _ = NODES
_S = OperationState


@pytest.fixture
def server(tmp_path):
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(*NODES, at_once=3))
    server.contradictions = Contradictions(server.plane, LedgerLines(server.database))
    server.reports(*NODES)
    server.approved = {each.machine: each for each in server.approve_all()}
    server.run()
    yield server
    server.close()


def system(machine, op_id, finished=""):
    return evolve(an_installed_system(machine, op_id), finished=finished)


def refusal(code="RW574"):
    return OperationEvent(
        attempt=1,
        sequence=1,
        kind="failed",
        step=0,
        code=code,
        message="it is what it installed",
        action="Look",
        result={"finished": NOW.isoformat()},
    )


def quarantine(server, machine):
    return server.plane.machines.quarantine(machine.name, machine.hardware_identities)


def verify(server, machine):
    """Bring a machine's operation to its end."""
    op_id = server.approved[machine.name].op_id
    assert server.plane.claim(machine.name, op_id, 1)
    done = OperationEvent(attempt=1, sequence=1, kind="done", step=2)
    server.plane.ledger.record_progress(op_id, done, server.now)
    server.now += timedelta(minutes=1)
    report = a_report(machine, a_disk(machine.name), installed=system(machine, op_id))
    server.loop.machines.record_report(machine, report, server.now)
    server.loop.reconcile(machine.name)
    return op_id


def test_an_operation_is_finished_once_it_is_verified(server):
    op_id = server.approved[ONE.name].op_id
    assert server.contradictions.reported(ONE, system(ONE, op_id)) == ""
    assert verify(server, ONE) == op_id
    assert server.contradictions.reported(ONE, system(ONE, op_id)) == server.now.isoformat()
    assert server.contradictions.reported(ONE, system(ONE, "")) == ""
    assert not quarantine(server, ONE)


@pytest.mark.parametrize("op_id", ["", "known"])
def test_a_system_that_the_ledger_knows_blocks_nothing(server, op_id):
    known = server.approved[ONE.name].op_id if op_id else ""
    server.contradictions.reported(ONE, system(ONE, known))
    assert not quarantine(server, ONE)
    assert not server.outside.observe_only


def test_one_machine_with_unknown_work_blocks_itself_and_two_the_fleet(server):
    unknown = "f" * 32
    for _ in range(3):
        server.contradictions.reported(ONE, system(ONE, unknown))
    assert quarantine(server, ONE) == (
        "RW748: the ledger does not know what this machine did: "
        "operation ffffffffffff installed it, which the ledger lacks"
    )
    assert server.plane.live_grants(ONE.name) == ()
    assert server.plane.live_grants(TWO.name)
    assert not server.outside.observe_only
    server.contradictions.reported(TWO, system(TWO, unknown))
    assert server.outside.reasons == [
        "RW746 2 machines did work that the ledger does not know: node-01, node-02"
    ]
    assert server.plane.live_grants(TWO.name) == ()
    assert not server.plane.claim(NODES[2].name, server.approved[NODES[2].name].op_id, 1)


def test_a_refusal_ends_the_operation_and_blocks_the_machine(server):
    op_id = server.approved[ONE.name].op_id
    server.contradictions.refused(ONE.name, op_id, refusal())
    (status,) = server.loop.ledger.operations(op_id=op_id)
    assert (status.state, status.reason) == (
        _S.FAILED,
        "RW574: it is what it installed. Look.",
    )
    assert "it finished operation" in quarantine(server, ONE)
    assert not server.outside.observe_only
    server.contradictions.refused(TWO.name, server.approved[TWO.name].op_id, refusal(code="RW573"))
    assert server.outside.observe_only


def test_a_machine_ends_only_its_own_operation(server):
    op_id = server.approved[TWO.name].op_id
    server.contradictions.refused(ONE.name, op_id, refusal())
    (status,) = server.loop.ledger.operations(op_id=op_id)
    assert status.state is _S.ARMED
    assert quarantine(server, ONE)
    assert not quarantine(server, TWO)


@pytest.mark.parametrize(
    ("finished", "blocks"),
    [
        (NOW - timedelta(hours=1), False),
        (NOW + timedelta(hours=1), True),
        (None, False),
    ],
)
def test_what_was_finished_before_the_ledger_was_accepted_is_what_that_person_knew(
    server, finished, blocks
):
    with server.loop.ledger.writing() as connection:
        server.loop.ledger.accept_within(connection, NOW, "ada", "it was lost")
    server.now += timedelta(minutes=1)
    said = finished.isoformat() if finished else ""
    for machine in (ONE, TWO):
        server.contradictions.reported(machine, system(machine, "f" * 32, said))
    assert bool(quarantine(server, ONE)) is blocks
    assert server.outside.observe_only is blocks


@pytest.mark.parametrize("said", ["no time", "2026-11-21", ""])
def test_an_odd_time_of_a_machine_blocks_that_machine_at_most(server, said):
    with server.loop.ledger.writing() as connection:
        server.loop.ledger.accept_within(connection, NOW, "ada", "it was lost")
    server.contradictions.reported(ONE, system(ONE, "f" * 32, said))
    assert bool(quarantine(server, ONE)) is (said != "")
    assert not server.outside.observe_only


def test_a_machine_that_is_in_no_document_any_more_ends_its_work(server):
    op_id = server.approved[ONE.name].op_id
    server.use(replace(server.loop.fleet, machines={TWO.name: TWO}))
    (status,) = server.loop.ledger.operations(op_id=op_id)
    server.contradictions.refused(server.loop.key_of(status.operation), op_id, refusal())
    (status,) = server.loop.ledger.operations(op_id=op_id)
    assert status.state is _S.FAILED


def test_while_the_fleet_is_observe_only_nothing_is_armed_woken_or_tested(tmp_path):
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(*NODES, at_once=3), unattended=True)
    server.outside.observe_only = True
    server.run()
    assert server.states() == {}  # not even looked at
    server.reports(*NODES)
    server.approve_all()
    server.run()
    assert set(server.states().values()) == {_S.APPROVED}
    assert server.outside.woken == server.outside.told == []

    server.outside.observe_only = False
    server.use(server.loop.fleet)
    server.run()
    assert set(server.states().values()) == {_S.ARMED}
    server.close()
