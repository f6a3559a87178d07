"""What machines are told to install by themselves, and what the server keeps of their answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from builders.loop_server import LoopServer
from builders.world import HERE, NOW, a_fleet, a_machine

from agent.wire.codec import decode, encode
from agent.wire.package import PackageResult
from agent.wire.updates import MOST_RESULTS, UpdateOrders, UpdateReport
from providers.content.store import ContentStore
from reconciler.loop.reboot_locks import RebootLocker
from reconciler.server.updates import REFRESH, UpdateDesk
from reconciler.state.hardware import FleetHardware
from reconciler.state.reboot_locks import RebootLocks
from reconciler.state.updates import MOST_HISTORY, UpdateRecords
from specs.compile.fleet import compile_fleet
from specs.fleet import Budget, CompiledHold, CompiledWindow, CompiledWindows

FILE = b"a file of a package"
DOCUMENTS = """\
apiVersion: rackwright/v1alpha1
kind: UpdatePolicy
metadata: {name: office}
spec:
  select: {machines: ["*"]}
  packages: [tool]
  limits: {machines: 1, maxRate: 8Mbit/s}
---
apiVersion: rackwright/v1alpha1
kind: UpdatePolicy
metadata: {name: aside}
spec: {select: {machines: ["*"]}, order: 2000}
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: tool}
spec:
  type: application
  version: "1"
  targets: [{family: debian}]
  requires: [runtime]
  files: [{url: "https://f.example.net/tool.deb", sha256: "%s"}]
  setup: {by: deb}
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: runtime}
spec: {type: application, version: "2", targets: [{family: debian}], setup: {by: apt}}
---
apiVersion: rackwright/v1alpha1
kind: Package
metadata: {name: kernel-fix}
spec: {type: patch, urgency: highest, version: "6", targets: [{family: debian}], setup: {by: apt}}
"""
ONE, TWO = (
    replace(a_machine(number, assignments=()), updates=("aside", "office")) for number in (1, 2)
)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.server.close()


class Site:
    """The desk on a real database, loop and content store."""

    def __init__(self, path):
        self.store = ContentStore(path / "content")
        self.sha256 = self.store.put(FILE)
        compiled = compile_fleet({"f.yaml": (DOCUMENTS % self.sha256).encode()}, "r").fleet
        assert compiled is not None
        base = a_fleet(ONE, TWO, at_once=9)
        budgets = (
            Budget("fleet", "", "work", 1000),
            Budget("fleet", "", "destructive", 9, 100),
            Budget("fleet", "", "disruptive", 1, 200),
        )
        fleet = replace(
            base,
            packages=compiled.packages,
            update_policies=compiled.update_policies,
            settings=base.settings._replace(budgets=budgets),
        )
        self.server = LoopServer(path / "rackwright.db", fleet)
        self.records = UpdateRecords(self.server.database)
        self.locks = RebootLocks(self.server.database)
        locker = RebootLocker(self.locks, self.server.loop, lambda: self.server.now)
        self.desk = UpdateDesk(
            self.records, self.server.loop, locker, self.store, lambda: self.server.now
        )

    def use(self, **changes):
        fleet = replace(self.server.loop.fleet, **changes)
        self.server.loop.use(fleet, FleetHardware(fleet.machines.values()).prepare())

    def heard(self, machine, **changes):
        said = {"boot_id": "b1", "policy": "office", "orders": "d", "phase": "idle", **changes}
        self.desk.heard(machine, UpdateReport(**said))


def test_orders_have_what_is_listed_and_what_is_urgent_with_all_that_is_required(site):
    orders = site.desk.orders(ONE)
    assert (orders.policy, orders.max_rate) == ("office", 1_000_000)
    assert [each.name for each in orders.packages] == ["runtime", "tool", "kernel-fix"]
    assert orders.packages[1].files[0].size == len(FILE)
    assert orders.urgent == (site.server.loop.fleet.packages["kernel-fix"].digest,)
    assert decode(UpdateOrders, encode(orders)) == orders
    assert site.desk.digest(ONE) == site.desk.digest(TWO) == orders.digest
    assert site.desk.orders(replace(ONE, updates=())) == UpdateOrders()


def test_what_the_server_has_yet_to_fetch_comes_later_with_all_that_requires_it(site):
    site.store.path(site.sha256).unlink()
    site.server.now += REFRESH
    orders = site.desk.orders(ONE)
    assert (orders.missing, [each.name for each in orders.packages]) == (
        ("tool",),
        ["runtime", "kernel-fix"],
    )


def test_holds_quarantines_and_lost_ledgers_are_told_and_end(site):
    before = site.desk.digest(ONE)
    hold = CompiledHold("h", NOW + timedelta(hours=1), "ada", "disks are replaced", HERE)
    held = replace(ONE, holds=("h",))
    site.use(holds=(hold,), machines={ONE.name: held, TWO.name: TWO})
    orders = site.desk.orders(held)
    assert orders.held.startswith("held by ada until")
    assert orders.held_until == int(hold.until.timestamp())
    site.server.now += timedelta(hours=2)
    assert site.desk.digest(held) == before
    machines = site.server.loop.machines
    machines.set_quarantine(TWO.name, TWO.hardware_identities, "a copy", site.server.now)
    site.server.now += REFRESH
    assert site.desk.orders(TWO).held == "quarantined: a copy"
    assert not site.desk.orders(held).held


def test_the_machines_windows_are_told_for_two_weeks_and_change_once_a_day(site):
    allow = (CompiledWindow(tuple(range(7)), 22 * 60, 5 * 60),)
    holidays = ((NOW + timedelta(days=1)).date(),)
    site.use(windows={ONE.group: CompiledWindows("UTC", allow, (), holidays, HERE)})
    orders = site.desk.orders(ONE)
    assert orders.openings
    spans = [(each.end - each.begin) / 3600 for each in orders.openings]
    assert set(spans) <= {7, 5, 2}
    days = {datetime.fromtimestamp(each.begin, UTC).date() for each in orders.openings}
    assert (max(days) - min(days)).days in {13, 14}
    site.server.now += timedelta(minutes=10)
    assert site.desk.orders(ONE) == orders
    site.server.now += timedelta(days=1)
    assert site.desk.orders(ONE) != orders


def test_a_person_asks_machines_to_look_whose_policy_allows_that(site):
    before = site.desk.digest(ONE)
    site.records.notify([ONE], NOW, "ada@host", "CVE-2026-1")
    site.server.now += REFRESH
    assert site.desk.orders(ONE).notice == int(NOW.timestamp())
    assert site.desk.digest(TWO) == before
    policies = {
        name: each._replace(check_on_notice=False)
        for name, each in site.server.loop.fleet.update_policies.items()
    }
    site.use(update_policies=policies)
    assert site.desk.digest(ONE) == before


def test_no_more_machines_fetch_at_one_time_than_the_policy_says(site):
    assert site.desk.may_fetch(ONE).granted
    assert site.desk.may_fetch(ONE).granted  # it asks again
    refused = site.desk.may_fetch(TWO)
    assert refused.why == "1 machines of policy office fetch at one time already"
    site.heard(ONE, phase="fetching")
    assert not site.desk.may_fetch(TWO).granted
    site.heard(ONE, phase="waiting")
    assert site.desk.may_fetch(TWO).granted
    site.server.now += timedelta(minutes=16)
    assert site.desk.may_fetch(ONE).granted  # of the other nothing was heard


def test_restarts_count_in_budgets_until_the_machine_is_up_again(site):
    assert site.desk.may_restart(ONE, "b1", "10.0.0.1").granted
    refused = site.desk.may_restart(TWO, "b9", "10.0.0.2")
    assert "budget" in refused.why
    site.heard(ONE, phase="restart")
    assert not site.desk.may_restart(TWO, "b9", "10.0.0.2").granted
    site.heard(ONE, boot_id="b2")
    assert site.locks.held() == ()
    assert site.desk.may_restart(TWO, "b9", "10.0.0.2").granted


def test_what_one_machine_can_have_kept_has_an_end(site):
    for number in range(3):
        results = tuple(
            PackageResult(f"p{each}", "1", "failed", code="RW218", cause="x" * 5000)
            for each in range(MOST_RESULTS)
        )
        site.heard(ONE, run=f"updates-{number}", results=results)
    history = site.records.history(ONE, 10_000)
    assert len(history) == MOST_HISTORY < 3 * MOST_RESULTS
    assert {each.run for each in history} == {"updates-1", "updates-2"}
    assert len(history[0].result.cause) == 1000


def test_what_a_machine_says_is_kept_once_however_often_it_is_said(site):
    results = (
        PackageResult("tool", "1", "installed", version_after="1", reboot=True),
        PackageResult("runtime", "2", "failed", code="RW218", cause="it failed"),
    )
    for _ in range(3):
        site.heard(ONE, phase="restart", run="updates-1", results=results)
    done = (PackageResult("tool", "1", "installed", version_after="1"), results[1])
    site.heard(ONE, run="updates-1", results=done)
    fleet = FleetHardware((ONE, TWO))
    assert site.records.all(fleet)[ONE.name].results == done
    history = site.records.history(ONE, 10)
    assert [(each.result.name, each.result.reboot) for each in history] == [
        ("tool", False),
        ("runtime", False),
        ("tool", True),
    ]
    site.records.prune(site.server.now + timedelta(seconds=1))
    assert site.records.history(ONE, 10) == ()
    assert site.records.all(fleet)[ONE.name].results == done
