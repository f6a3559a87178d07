"""What the loop makes of approvals that expire, and of rules for safe work."""

from dataclasses import replace
from datetime import timedelta

import pytest
from builders.loop_server import LoopServer
from builders.world import NOW, a_fleet, a_machine

from reconciler.loop.approval import approve_within
from reconciler.loop.approval_rules import begin_rules, rules_as_text, rules_of_text
from reconciler.planning.planner import plan
from reconciler.state.ledger import Ledger
from reconciler.state.operation import Start
from reconciler.state.operation_states import OperationState
from reconciler.state.runs import run_of
from reconciler.state.world import observe
from specs.fleet import CompiledApprovalRule, CompiledApprovals, CompiledPerson

_S = OperationState
FIRST, SECOND = a_machine(1, "clone-golden"), a_machine(2, "clone-golden")
FLEET = a_fleet(FIRST, SECOND)
HOUR = timedelta(hours=1)
RULE = CompiledApprovalRule(("operator",), 2, exclude_author=True, expires_seconds=3600)
RULES = CompiledApprovals(
    (CompiledPerson("ada", ("operator",), ("ada",), ("key",), ("ada@example.org",)),), safe=RULE
)


@pytest.fixture
def server(tmp_path):
    server = LoopServer(tmp_path / "rackwright.db", FLEET)
    server.reports(FIRST, SECOND)
    yield server
    server.close()


def approve_until(server, end, digest="d"):
    seen = observe(server.database, FLEET.machines.values(), server.outside.images(), server.now)
    operations = [item.operation for item in plan(FLEET, seen, server.now).to_apply]
    run = run_of("apply", "ada", server.now, "", FLEET.revision, digest * 32)
    ledger = Ledger(server.database)
    with ledger.writing() as connection:
        ends = dict.fromkeys((each.op_id for each in operations), end)
        work = [(each, Start(may_interrupt=True)) for each in operations]
        approve_within(connection, ledger, work, run, ends)
    return operations


def test_work_whose_turn_does_not_come_before_its_approval_expires_is_planned_again(server):
    approve_until(server, NOW + HOUR)
    server.run()
    assert server.states() == {"node-01": _S.ARMED, "node-02": _S.APPROVED}
    server.now += HOUR
    server.run()
    assert server.states()["node-02"] is _S.PLANNED
    (lapsed,) = (each for each in server.loop.operations.current() if each.state is _S.PLANNED)
    assert lapsed.reason == (
        "RW640: its approval held until 2026-11-21 13:00 UTC, and its turn had not come. "
        "Nothing was begun."
    )


def test_it_is_looked_at_when_it_expires_though_nothing_else_happens(server):
    approve_until(server, NOW + timedelta(minutes=5))
    server.run()
    answer = server.boots_over_the_network(FIRST)
    server.plane.claim(FIRST.name, answer.grant.operation, answer.grant.attempt)
    server.run()
    while server.states()["node-02"] is _S.APPROVED:
        assert server.loop.next_time() is not None
        server.now = server.loop.next_time()
        server.run()
    assert server.states()["node-02"] is _S.PLANNED
    assert server.now == NOW + timedelta(minutes=5)


def test_what_was_armed_in_time_goes_on(server):
    approve_until(server, NOW + timedelta(minutes=1))
    server.run()
    server.now += timedelta(minutes=2)
    server.run()
    assert server.states()["node-01"] is _S.ARMED


def test_a_later_approval_holds_instead(server):
    approve_until(server, NOW + HOUR)
    server.run()
    server.now += HOUR
    server.run()
    approve_until(server, NOW + 9 * HOUR, digest="e")
    server.now += HOUR
    server.run()
    assert server.states()["node-02"] is _S.APPROVED


def test_safe_work_with_a_rule_is_not_started_by_the_server(tmp_path):
    machine = a_machine(1, "capture-golden")
    ruled = a_fleet(machine)
    ruled = replace(ruled, settings=ruled.settings._replace(approvals=RULES))
    server = LoopServer(tmp_path / "rackwright.db", ruled, unattended=True)
    server.reports(machine)
    server.run()
    assert server.states() == {}
    begin_rules(server.database, ruled, "server", server.now)
    server.use(a_fleet(machine))  # a commit that takes the rule away is not approved by that
    server.run()
    assert server.states() == {}
    server.close()


def test_rules_are_kept_as_they_are():
    assert rules_of_text(rules_as_text(RULES)) == RULES
    assert rules_of_text(rules_as_text(CompiledApprovals())) == CompiledApprovals()
