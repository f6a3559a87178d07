"""After failures no new work begins until a person lets it go on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders.loop_server import LoopServer
from builders.world import NOW, a_fleet, a_machine
from hypothesis import given
from hypothesis import strategies as st

from reconciler.app.status import conditions_of
from reconciler.errors import StateError
from reconciler.loop.breaker import why_open
from reconciler.state.breakers import Breakers, EndedWork
from reconciler.state.hardware import FleetHardware
from reconciler.state.operation_states import OperationState
from reconciler.state.world import observe
from specs.fleet import BreakerRule

_S = OperationState
MACHINES = [
    a_machine(number, "clone-golden", group=group, groups=(group,))
    for number, group in enumerate(["a", "a", "a", "a", "b", "b", "b"], 1)
]


@pytest.fixture
def serve(tmp_path):
    """Return what starts a server whose fleet has these breakers."""
    servers = []

    def start(*rules):
        fleet = a_fleet(*MACHINES, at_once=100, per_hour=100)
        settings = fleet.settings._replace(breakers=rules)
        servers.append(LoopServer(tmp_path / "rackwright.db", replace(fleet, settings=settings)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fail(server, *machines):
    for machine in machines:
        (status,) = server.loop.work_of(machine.name)
        server.plane.fail(status, "RW000: it broke", "test")


def approved(server, *machines):
    """Approve work of these machines alone, and let the loop take notice."""
    server.reports(*machines)
    server.approve_all(*machines)
    server.run()


def states(server):
    return {each.operation.machine: each.state for each in server.loop.operations.current()}


@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=30),
    st.integers(1, 5),
    st.integers(0, 100),
)
def test_a_breaker_opens_when_enough_machines_and_enough_of_them_failed(ended, failures, percent):
    rule = BreakerRule("", failures, percent)
    work = [EndedWork(f"mac:{number}", failed) for number, failed in ended]
    machines = {each.hardware for each in work}
    failed = {each.hardware for each in work if each.failed}
    enough = len(failed) >= failures and len(failed) >= percent / 100 * len(machines)
    said = f"{len(failed)} of {len(machines)} machines failed within 1h"
    assert why_open(rule, work) == (said if enough else "")


def test_with_the_second_failure_nothing_new_begins_and_what_began_is_finished(serve):
    server = serve(BreakerRule("", failures=2, percent=0))
    first, second, begun, third = MACHINES[:4]
    approved(server, first, second, begun)
    answer = server.boots_over_the_network(begun)
    fail(server, first)
    assert server.loop.breakers.open_ones() == ()
    fail(server, second)
    (breaker,) = server.loop.breakers.open_ones()
    assert str(breaker) == "the open breaker of the fleet (2 of 2 machines failed within 1h)"
    approved(server, third)
    assert states(server)[third.name] is _S.APPROVED
    assert server.plane.claim(begun.name, answer.grant.operation, answer.grant.attempt)
    assert server.loop.next_time() is None or server.loop.next_time() > server.now


def test_status_says_what_holds_the_work_back(serve):
    server = serve(BreakerRule("", failures=1, percent=0))
    approved(server, MACHINES[0])
    fail(server, MACHINES[0])
    approved(server, MACHINES[1])
    fleet = server.loop.fleet
    machines = fleet.machines.values()
    world = observe(server.database, machines, server.outside.images(), server.now)
    found = conditions_of(fleet, machines, FleetHardware(machines), world, server.now)
    reasons = {each.machine: each.reason for each in found}
    assert reasons[MACHINES[1].name] == (
        "restore: approved, waits for the open breaker of the fleet (1 of 1 machines failed "
        "within 1h)"
    )


def test_the_breaker_of_a_group_holds_back_that_group_alone(serve):
    server = serve(BreakerRule("", failures=100), BreakerRule("a", failures=1, percent=0))
    approved(server, MACHINES[0], MACHINES[4])
    fail(server, MACHINES[4])
    assert server.loop.breakers.open_ones() == ()
    fail(server, MACHINES[0])
    assert [each.group for each in server.loop.breakers.open_ones()] == ["a"]
    approved(server, MACHINES[1], MACHINES[5])
    assert states(server)[MACHINES[1].name] is _S.APPROVED
    assert states(server)[MACHINES[5].name] is _S.ARMED


def test_another_process_resets_it_and_failures_of_before_count_no_more(serve):
    server = serve(BreakerRule("", failures=2, percent=0))
    approved(server, *MACHINES[:2])
    fail(server, *MACHINES[:2])
    approved(server, *MACHINES[2:4])
    assert states(server)[MACHINES[2].name] is _S.APPROVED
    server.now += timedelta(minutes=1)
    Breakers(server.database).reset("", server.now, "ada", "the image is mended")
    server.run()
    assert states(server)[MACHINES[2].name] is _S.ARMED
    fail(server, MACHINES[2])
    assert server.loop.breakers.open_ones() == ()
    fail(server, MACHINES[3])
    assert len(server.loop.breakers.open_ones()) == 1


def test_it_stays_open_over_a_restart_and_a_new_revision(serve):
    server = serve(BreakerRule("", failures=1, percent=0))
    approved(server, MACHINES[0])
    fail(server, MACHINES[0])
    again = serve(BreakerRule("", failures=50))
    approved(again, MACHINES[1])
    assert states(again)[MACHINES[1].name] is _S.APPROVED
    again.use(again.loop.fleet)
    again.run()
    assert states(again)[MACHINES[1].name] is _S.APPROVED


def test_failures_of_long_ago_do_not_count(serve):
    server = serve(BreakerRule("", failures=2, percent=0, within_seconds=600))
    approved(server, *MACHINES[:2])
    fail(server, MACHINES[0])
    server.now += timedelta(minutes=11)
    fail(server, MACHINES[1])
    assert server.loop.breakers.open_ones() == ()


def test_what_is_not_open_cannot_be_reset(serve):
    server = serve(BreakerRule(""))
    with pytest.raises(StateError, match="RW652: the breaker of group a is not open"):
        server.loop.breakers.reset("a", NOW, "ada", "why not")
