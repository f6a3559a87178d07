"""Work of agents in installed systems: what is planned, and when it begins."""

from dataclasses import replace
from datetime import timedelta

import pytest
from attrs import evolve
from builders.world import (
    NOW,
    a_report,
    a_status,
    an_installed_system,
    observed,
)

from agent.version import AGENT_VERSION
from agent.wire.step import Finish, InstallPackages, Run, UpgradeAgent
from reconciler.loop.decide import CONTACT_MAX_AGE, Arm, End, WaitUntil, WorkView, decide
from reconciler.planning.item import Risk
from reconciler.planning.planner import plan
from reconciler.planning.system_work import why_too_old
from reconciler.state.observed import ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState
from reconciler.state.work_begun import Impact
from specs.compile.fleet import compile_fleet
from specs.fleet import Waits

DOCUMENTS = """\
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {name: n}
spec: {subnet: 10.0.0.0/24}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {name: lab}
spec: {network: n}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {name: m}
spec:
  group: lab
  hardware: {macs: ["02:00:00:00:00:01"]}
  assign: [{scenario: serve, run: "1"}]
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: %(name)s}
spec:
  type: patch
  targets: [{family: debian}]
  setup: {by: apt}
  requires: [base]
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: base}
spec: {type: patch, targets: [{family: debian}], setup: {by: apt}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: serve}
spec:
  options: {%(options)s}
  steps:
    - %(step)s
"""
RUN = "run: {command: [systemctl, restart, chrony]}"
PACKAGES = "packages: {install: [nginx]}"
_S = OperationState
LATER = NOW + timedelta(seconds=30)


def a_fleet(step=RUN, options="", name="nginx"):
    text = DOCUMENTS % {"step": step, "options": options, "name": name}
    result = compile_fleet({"f.yaml": text.encode()}, "r")
    assert result.fleet is not None, [str(each) for each in result.diagnostics]
    return result.fleet


def heard(fleet, at=NOW, version="9.0", uptime=60):
    """Return the machine, whose installed system's agent asked for work then."""
    machine = fleet.machines["m"]
    report = a_report(machine, installed=an_installed_system(machine, ""))
    report = evolve(report, agent_version=version, uptime=uptime)
    return ObservedMachine(installed=TimedReport(report, at), installed_contact=at, read_at=NOW)


def item_of(fleet, seen=None):
    (item,) = plan(fleet, observed({"m": seen} if seen else {}), NOW).items
    return item


def test_a_command_is_planned_as_work_that_may_interrupt_the_system():
    fleet = a_fleet()
    item = item_of(fleet, heard(fleet))
    assert (item.risk, item.action) == (Risk.DISRUPTIVE, "service")
    assert item.reason == "serve run 1 runs `systemctl restart chrony`"
    assert item.operation.runs_in_system
    assert not item.operation.destructive
    (step,) = item.operation.instructions.steps
    assert step == Run(("systemctl", "restart", "chrony"), (0,), 600, 600)


def test_packages_come_with_all_that_they_require_first():
    fleet = a_fleet(PACKAGES, "after: reboot")
    item = item_of(fleet, heard(fleet))
    assert item.reason == "serve run 1 installs nginx, then restarts"
    step, finish = item.operation.instructions.steps
    assert isinstance(step, InstallPackages)
    assert [each.name for each in step.packages] == ["base", "nginx"]
    assert finish == Finish("reboot")


def test_a_changed_package_is_other_work():
    one = a_fleet(PACKAGES)
    text = DOCUMENTS.replace("type: patch\n", "type: patch\n  version: '2'\n")
    other = compile_fleet(
        {"f.yaml": (text % {"step": PACKAGES, "options": "", "name": "nginx"}).encode()}, "r"
    ).fleet
    first, second = (item_of(each, heard(each)).operation.op_id for each in (one, other))
    assert first != second


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (None, "no agent was ever heard on its installed system"),
        ("0.1.9", "its agent 0.1.9 cannot do `run`: agents from 0.2.0 on can"),
    ],
)
def test_what_no_agent_can_do_is_blocked_with_the_reason(seen, reason):
    fleet = a_fleet()
    item = item_of(fleet, heard(fleet, version=seen) if seen else None)
    assert (item.risk, item.reason) == (Risk.BLOCKED, reason)
    assert item.operation is None


def test_an_upgrade_of_the_agent_is_planned_as_work_that_interrupts_nothing():
    fleet = a_fleet('upgradeAgent: {version: "0.4.0", healthWithin: 1m}')
    item = item_of(fleet, heard(fleet, version="0.3.0"))
    assert (item.risk, item.action) == (Risk.SAFE, "service")
    assert item.reason == "serve run 1 upgrades the agent to 0.4.0"
    assert item.operation.instructions.steps == (UpgradeAgent("0.4.0", 60),)


def test_an_upgrade_without_a_version_is_to_the_server_s_own():
    fleet = a_fleet("upgradeAgent: {}")
    item = item_of(fleet, heard(fleet))
    assert item.reason == f"serve run 1 upgrades the agent to {AGENT_VERSION}"
    assert item.operation.instructions.steps == (UpgradeAgent(AGENT_VERSION, 180),)


def test_an_agent_that_is_older_than_upgrades_is_blocked_with_the_version_that_can():
    fleet = a_fleet("upgradeAgent: {}")
    item = item_of(fleet, heard(fleet, version="0.2.0"))
    assert item.risk is Risk.BLOCKED
    assert item.reason == "its agent 0.2.0 cannot do `upgradeAgent`: agents from 0.3.0 on can"


def test_versions_of_agents_are_compared_by_their_numbers():
    steps = (Run(("true",), (0,), 1, 1),)
    assert why_too_old("0.1.9", steps)
    assert why_too_old("", steps)
    assert why_too_old("newest", steps)
    assert not why_too_old("0.2.0", steps)
    assert not why_too_old("0.10.0-rc1", steps)
    assert not why_too_old("0.0.1", ())


def test_the_plan_says_since_when_an_agent_is_away():
    fleet = a_fleet()
    item = item_of(fleet, heard(fleet, at=NOW - timedelta(hours=1)))
    assert item.risk is Risk.DISRUPTIVE
    since = f"{NOW - timedelta(hours=1):%Y-%m-%d %H:%M}"
    assert item.reason.endswith(f"; it waits for its agent, last heard at {since} UTC")


# --- when it begins -------------------------------------------------------------------

FLEET = a_fleet()
OPERATION = item_of(FLEET, heard(FLEET)).operation


def decided(state, seen, now=LATER, **changes):
    status = replace(a_status(OPERATION, state), **changes)
    view = WorkView((status,), seen, hears_since=NOW - timedelta(days=1))
    return decide(view, lambda *_: None, now)


def test_it_begins_when_its_agent_is_there_and_counts_as_an_interruption():
    outcome = decided(_S.APPROVED, heard(FLEET, at=NOW))
    assert isinstance(outcome, Arm)
    assert (outcome.impact, outcome.reason) == (Impact.DISRUPTIVE, "its turn came")


@pytest.mark.parametrize("state", [_S.APPROVED, _S.ARMED])
def test_an_agent_that_is_away_is_waited_for_however_long_and_nothing_is_woken(state):
    now = NOW + timedelta(days=30)
    outcome = decided(state, heard(FLEET, at=NOW), now, attempt=int(state is _S.ARMED))
    assert isinstance(outcome, WaitUntil)
    assert outcome.again is None
    assert "its agent, last heard at" in outcome.why


def test_an_agent_that_comes_back_is_granted_the_work_anew():
    now = NOW + timedelta(days=30)
    outcome = decided(_S.ARMED, heard(FLEET, at=now - CONTACT_MAX_AGE), now, attempt=1)
    assert isinstance(outcome, Arm)
    assert (outcome.attempt, outcome.impact) == (2, None)


def test_silence_ends_it_and_a_boot_request_does_not():
    waits = Waits()
    begun = {"attempt": 1, "last_event_at": NOW}
    booted = replace(heard(FLEET), boot_request=NOW + timedelta(seconds=5))
    outcome = decided(_S.STARTED, booted, NOW + timedelta(minutes=2), **begun)
    assert isinstance(outcome, WaitUntil)
    outcome = decided(
        _S.STARTED, booted, NOW + timedelta(seconds=waits.silence_seconds + 1), **begun
    )
    assert isinstance(outcome, End)
    assert outcome.state is _S.FAILED
    assert outcome.reason.startswith("RW613: ")
    assert "what it was at is not known" in outcome.reason


def test_work_for_the_next_start_waits_until_the_system_has_started_since():
    fleet = a_fleet(options="trigger: next-boot")
    operation = item_of(fleet, heard(fleet)).operation
    status = a_status(operation, _S.APPROVED)
    status = replace(status, start=status.start._replace(trigger="next-boot"))
    for uptime, begins in ((3600, False), (10, True)):
        seen = heard(fleet, at=NOW + timedelta(seconds=20), uptime=uptime)
        view = WorkView((status,), seen, hears_since=NOW - timedelta(days=1))
        assert isinstance(decide(view, lambda *_: None, LATER), Arm) is begins
