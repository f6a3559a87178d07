"""An installed system that is not as the repository wants it is shown, and not overwritten."""

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from itertools import pairwise

import pytest
from attrs import evolve
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    a_status,
    an_image,
    an_installed_system,
    observed,
    ramdisk,
)
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from reconciler.app.machine_details import machine_details
from reconciler.app.project import Project, utc_now
from reconciler.app.status import conditions_of
from reconciler.cli.status import status
from reconciler.planning.item import DriftedValue, Risk
from reconciler.planning.plan import exit_code
from reconciler.planning.planner import plan
from reconciler.planning.unattended import unattended
from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.machines import Machines
from reconciler.state.observed import ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState
from reconciler.views.machine_text import machine_parts
from specs.compile.fleet import compile_fleet

_S = OperationState
NODE = a_machine(1, "clone-golden")
BEGAN = NOW - timedelta(minutes=40)
CLONED = (
    plan(a_fleet(NODE), observed({NODE.name: ramdisk(NODE, a_disk())}, (an_image(),)), NOW)
    .items[0]
    .operation
)


def world(**said):
    """Return the world in which the clone is verified and its agent says this."""
    system = evolve(an_installed_system(NODE, CLONED.op_id), **said)
    report = a_report(NODE, a_disk(), installed=system)
    seen = ObservedMachine(installed=TimedReport(report, NOW, NODE.name, since=BEGAN))
    done = a_status(CLONED, _S.VERIFIED, at=NOW - timedelta(hours=3))
    return observed({NODE.name: seen}, (an_image(),), (done,))


def condition(seen, **changes):
    fleet = a_fleet(replace(NODE, **changes))
    machines = fleet.machines.values()
    (found,) = conditions_of(fleet, machines, FleetHardware(machines), seen, NOW)
    return found


def test_what_differs_is_said_with_what_is_wanted_and_found():
    found = condition(
        world(hostname="web", addresses=("10.77.0.9/24",), operation=""),
    )
    (further,) = found.further
    assert (further.type, further.since) == ("Drifted", BEGAN)
    assert further.values == (
        DriftedValue("installed by", f"operation {CLONED.op_id[:12]}", "somebody else"),
        DriftedValue("host name", "node-01", "web"),
        DriftedValue("addresses", "10.77.0.1/24", "10.77.0.9/24"),
    )
    assert found.condition == "Stalled"
    assert found.reason == further.reason
    assert found.reason == (
        "drift: the running system was not installed by this run; its host name is web, not "
        "node-01; it lacks the address 10.77.0.1/24. A new run token installs it anew"
    )


def test_where_drift_is_off_nothing_is_compared():
    drifted = world(hostname="web")
    found = condition(drifted, drift="off")
    assert (found.condition, found.further) == ("Ready", ())
    made = plan(a_fleet(replace(NODE, drift="off")), drifted, NOW)
    assert made.empty
    assert exit_code(plan(a_fleet(NODE), drifted, NOW)) == 4


def test_a_silent_system_that_is_not_compared_is_unknown_and_plans_nothing():
    silent = world()
    old = replace(silent.machines[NODE.name].installed, at=NOW - timedelta(hours=2))
    silent = replace(silent, machines={NODE.name: ObservedMachine(installed=old)})
    assert condition(silent, drift="off").condition == "Unknown"
    assert plan(a_fleet(replace(NODE, drift="off")), silent, NOW).empty
    assert [each.risk for each in plan(a_fleet(NODE), silent, NOW).items] == [Risk.UNKNOWN]


@given(
    drift=st.sampled_from(["off", "report"]),
    hostname=st.sampled_from(["node-01", "web", ""]),
    addresses=st.sampled_from([(), ("10.77.0.1/24",), ("10.77.0.9/24",)]),
    operation=st.sampled_from([CLONED.op_id, "f" * 32, ""]),
)
def test_nothing_is_ever_overwritten_for_drift(drift, hostname, addresses, operation):
    seen = world(hostname=hostname, addresses=addresses, operation=operation)
    made = plan(a_fleet(replace(NODE, drift=drift)), seen, NOW)
    assert made.to_apply == ()
    assert unattended(made, lambda _item: True) == ()
    assert {item.risk for item in made.items} <= {Risk.BLOCKED}


@pytest.mark.parametrize(
    ("fleet", "group", "machine", "effective"),
    [
        ("", "", "", "report"),
        ("defaults: {drift: off}", "", "", "off"),
        ("defaults: {drift: off}", "drift: report", "", "report"),
        ("", "drift: off", "", "off"),
        ("", "drift: off", "drift: report", "report"),
    ],
)
def test_the_nearest_level_says_whether_it_is_compared(fleet, group, machine, effective):
    text = DOCUMENTS.format(fleet=fleet, group=f", {group}", machine=machine)
    text = text.replace(", }", "}")
    result = compile_fleet({"fleet.yaml": text.encode()}, "r")
    assert [str(each) for each in result.diagnostics] == []
    assert result.fleet.machines["node-01"].drift == effective


def test_another_word_is_an_error():
    text = DOCUMENTS.format(fleet="", group="", machine="drift: fix-safe")
    (problem,) = compile_fleet({"fleet.yaml": text.encode()}, "r").diagnostics
    assert "drift" in str(problem)
    assert "off" in str(problem)
    assert "report" in str(problem)


DOCUMENTS = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {{name: f}}
spec: {{{fleet}}}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {{name: lab}}
spec: {{subnet: 10.77.0.0/24, dhcp: {{mode: proxy}}}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: lab}}
spec: {{network: lab{group}}}
---
apiVersion: rackwright/v1alpha1
kind: Image
metadata: {{name: debian12}}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {{name: clone-golden}}
spec: {{steps: [{{inspectDisks: {{}}}}, {{restore: {{image: debian12}}}}]}}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {{name: node-01}}
spec:
  group: lab
  hardware: {{macs: ["52:54:00:77:00:01"], uuid: 77000000-0000-4000-8000-000000000001}}
  identity: {{addresses: [10.77.0.1/24]}}
  assign: [{{scenario: clone-golden, run: 1}}]
  {machine}
"""


@pytest.fixture
def place(tmp_path):
    """Return the options for a repository whose machine drifted 40 minutes ago."""
    now = utc_now()
    (tmp_path / "fleet").mkdir()
    text = DOCUMENTS.format(fleet="", group="", machine="")
    (tmp_path / "fleet" / "fleet.yaml").write_text(text, "utf-8")
    database = open_database(tmp_path / "state" / "rackwright.db")
    ledger = Ledger(database)
    ledger.plan(CLONED, now - timedelta(hours=3), "ada")
    states = (_S.PLANNED, _S.APPROVED, _S.ARMED, _S.STARTED, _S.VERIFIED)
    for before, after in pairwise(states):
        at = now - timedelta(hours=2)
        ledger.move(CLONED.op_id, before, after, attempt=1, at=at, actor="server", reason="")
    system = evolve(an_installed_system(NODE, CLONED.op_id), hostname="web[1]\x1b")
    for at in (now - timedelta(minutes=40), now):
        Machines(database).record_report(NODE, a_report(NODE, a_disk(), installed=system), at)
    database.close()
    return tmp_path


def test_get_machine_shows_what_drifted_and_since_when(place):
    project = Project(str(place / "fleet"), None, place / "state")
    now = utc_now()
    screen = Console(file=StringIO(), width=80, color_system=None, highlight=False)
    for part in machine_parts(machine_details(project, "node-01", now), now, 80):
        screen.print(part)
    lines = [line.rstrip() for line in screen.file.getvalue().splitlines()]
    start = lines.index("Drifted (reported so for 40 min)")
    assert [line.split() for line in lines[start + 1 : start + 5] if line.strip(" ─")] == [
        ["what", "wanted", "found"],
        ["host", "name", "node-01", "web[1]\\x1b"],
    ]


def test_status_selects_and_counts_what_drifted(place):
    options = ["--repo", str(place / "fleet"), "--state", str(place / "state")]

    def asked(*more):
        arguments = [*options, "--condition", "drifted", *more]
        return CliRunner().invoke(status, arguments, standalone_mode=False, catch_exceptions=False)

    assert asked().output.splitlines()[:2] == [
        "1 machine · Ready 0 · Reconciling 0 · Stalled 1 · Unknown 0",
        "also: Drifted 1",
    ]
    document = json.loads(asked("--format", "json").stdout)
    assert document["further"] == {"Drifted": 1, "Duplicate": 0, "Unhealthy": 0}
    (drifted,) = document["machines"][0]["further"]
    assert drifted["values"] == [{"what": "host name", "wanted": "node-01", "found": "web[1]\x1b"}]
