"""What `status` says of a machine, and what `clear` finds by its name."""

from dataclasses import replace
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
    an_installed_system,
    observed,
    ramdisk,
)
from click.testing import CliRunner
from sqlalchemy import select

from reconciler.app.status import conditions_of
from reconciler.app.unattended_work import with_unattended
from reconciler.cli.clear import clear
from reconciler.cli.login import login
from reconciler.errors import ReconcilerError
from reconciler.planning.plan import NEEDS_NO_APPROVAL, WAITS_FOR_APPROVAL
from reconciler.planning.planner import plan
from reconciler.state import schema
from reconciler.state.database import open_database
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.machines import Machines
from reconciler.state.observed import Fault, ObservedMachine, TimedReport
from reconciler.state.operation_states import OperationState
from reconciler.views.plan_words import approval

_S = OperationState
NODE = a_machine(1, "clone-golden")
RENAMED = replace(NODE, name="compute-1")


def cloned(machine=NODE):
    world = observed({machine.name: ramdisk(machine, a_disk())}, (an_image(),))
    return plan(a_fleet(machine), world, NOW).items[0].operation


def heard_as(name, at=NOW):
    system = an_installed_system(NODE, cloned().op_id)
    report = a_report(NODE, a_disk(), installed=system)
    return ObservedMachine(installed=TimedReport(report, at, name))


def state_of(machine, seen, *statuses):
    world = observed({machine.name: seen}, (an_image(),), statuses)
    fleet = a_fleet(machine)
    machines = fleet.machines.values()
    (state,) = conditions_of(fleet, machines, FleetHardware(machines), world, NOW)
    return state.condition, state.reason


def test_a_renamed_machine_is_ready_and_says_what_it_was_called():
    done = a_status(cloned(), _S.VERIFIED, at=NOW - timedelta(minutes=1))
    condition, reason = state_of(RENAMED, heard_as("node-01"), done)
    assert condition == "Ready"
    assert reason == (
        "renamed from node-01; node-01, Debian GNU/Linux 12 (bookworm), machine-id 00000000"
    )


def test_a_rename_is_no_longer_mentioned_once_the_new_name_was_heard():
    done = a_status(cloned(), _S.VERIFIED, at=NOW - timedelta(minutes=1))
    _, reason = state_of(RENAMED, heard_as("compute-1"), done)
    assert reason.startswith("node-01, Debian")


def test_the_work_of_a_renamed_machine_is_shown_as_under_way():
    condition, reason = state_of(RENAMED, ObservedMachine(), a_status(cloned(), _S.STARTED))
    assert (condition, reason) == ("Reconciling", "renamed from node-01; restore: started")


def test_work_that_a_quarantine_keeps_from_starting_waits_for_somebody():
    seen = ObservedMachine(quarantine="its token was used twice")
    for state in (_S.APPROVED, _S.ARMED):
        condition, reason = state_of(NODE, seen, a_status(cloned(), state))
        assert condition == "Stalled"
        assert reason == f"quarantined: its token was used twice; restore: {state}"
    assert state_of(NODE, seen, a_status(cloned(), _S.STARTED))[0] == "Reconciling"


def test_work_of_other_hardware_under_this_name_is_not_this_machines():
    other = a_machine(9, name=NODE.name, assignments=())
    condition, reason = state_of(other, ramdisk(other), a_status(cloned(), _S.STARTED))
    assert (condition, reason) == ("Ready", "nothing is asked of it")


# --- silence ----------------------------------------------------------------------------


def test_a_machine_of_which_nothing_was_ever_heard_is_unknown():
    assert state_of(a_machine(1), ObservedMachine()) == (
        "Unknown",
        "nothing was ever heard of it: start it once with network boot",
    )


@pytest.mark.parametrize(
    "heard",
    [
        lambda at: ramdisk(NODE, at=at),
        lambda at: ObservedMachine(boot_request=at),
        lambda at: ObservedMachine(installed_contact=at),
    ],
    ids=["a report", "a boot request", "a contact"],
)
def test_a_machine_that_is_asked_nothing_is_ready_as_long_as_it_is_heard(heard):
    idle = a_machine(1)
    hour = timedelta(hours=1)
    assert state_of(idle, heard(NOW - hour)) == ("Ready", "nothing is asked of it")
    condition, reason = state_of(idle, heard(NOW - hour - timedelta(seconds=1)))
    assert condition == "Unknown"
    assert reason == (
        "nothing was heard of it since 2026-11-21 10:59:59 UTC, and no agent is installed: "
        "start it once with network boot"
    )


def test_a_silent_machine_is_unknown_although_its_last_work_is_verified():
    done = a_status(cloned(), _S.VERIFIED, at=NOW - timedelta(days=2))
    later = a_machine(1)  # what it was asked for is no longer in Git
    condition, reason = state_of(later, heard_as(NODE.name, NOW - timedelta(days=1)), done)
    assert condition == "Unknown"
    assert reason == (
        "nothing was heard of it since 2026-11-20 12:00:00 UTC: see whether it is on and "
        "reaches the server"
    )


# --- approval ---------------------------------------------------------------------------


def test_status_and_plan_say_the_same_of_who_is_asked():
    capture = a_machine(1, "capture-golden")
    running = ObservedMachine(
        installed=TimedReport(
            a_report(NODE, a_disk(), installed=an_installed_system(NODE, "")), NOW
        )
    )
    for seen, condition, words in (
        (ObservedMachine(ramdisk_contact=NOW), "Reconciling", NEEDS_NO_APPROVAL),
        (running, "Reconciling", WAITS_FOR_APPROVAL),
    ):
        found, reason = state_of(capture, seen)
        assert found == condition
        assert reason.startswith(f"{words}: capture-golden run 1 captures image debian12")
        world = observed({capture.name: seen}, (an_image(),))
        made = with_unattended(plan(a_fleet(capture), world, NOW), world, a_fleet(capture))
        (sentence,) = approval(made)
        assert (NEEDS_NO_APPROVAL in sentence) is (words == NEEDS_NO_APPROVAL), sentence
        assert ("asks for a yes" in sentence) is (words == WAITS_FOR_APPROVAL), sentence


def test_a_look_at_disks_says_whether_somebody_is_asked():
    silent = ObservedMachine(
        installed=TimedReport(
            a_report(NODE, a_disk(), installed=an_installed_system(NODE, "")),
            NOW - timedelta(hours=2),
        )
    )
    assert state_of(NODE, ObservedMachine(ramdisk_contact=NOW)) == (
        "Unknown",
        "needs no approval: its disks were never seen",
    )
    assert state_of(NODE, ObservedMachine()) == (
        "Unknown",
        "waits for approval: its disks were never seen; the machine may be in use",
    )
    condition, reason = state_of(NODE, silent)
    assert condition == "Unknown"
    assert reason == (
        "waits for approval: its disks were last seen at 2026-11-21 10:00:00 UTC; the machine "
        "may be in use"
    )


# --- clear ------------------------------------------------------------------------------


FLEET = """\
apiVersion: rackwright/v1alpha1
kind: Fleet
metadata: {{name: test}}
---
apiVersion: rackwright/v1alpha1
kind: Network
metadata: {{name: lab}}
spec: {{subnet: 10.77.0.0/24, dhcp: {{mode: proxy}}}}
---
apiVersion: rackwright/v1alpha1
kind: Group
metadata: {{name: lab}}
spec: {{network: lab}}
---
apiVersion: rackwright/v1alpha1
kind: Machine
metadata: {{name: {name}}}
spec:
  group: lab
  hardware: {{macs: ["{mac}"]}}
"""


@pytest.fixture
def lost(tmp_path):
    """Return a state directory where node-01 is quarantined and its work is indeterminate."""
    database = open_database(tmp_path / "state" / "rackwright.db")
    operation = cloned()
    ledger = Ledger(database)
    ledger.plan(operation, NOW, "ada")
    path = [_S.PLANNED, _S.APPROVED, _S.ARMED, _S.STARTED, _S.INDETERMINATE]
    for before, after in pairwise(path):
        ledger.move(
            operation.op_id, before, after, attempt=1, at=NOW, actor="test", reason="because"
        )
    Machines(database).set_quarantine(NODE.name, NODE.hardware_identities, "alarm", NOW)
    database.close()
    return tmp_path / "state"


def to_resolve(name):
    op_id = cloned().op_id[:12]
    return f"nobody knows how operation {op_id} ended: say it with `rackwright resolve {name}`"


@pytest.mark.parametrize(
    ("name", "mac", "asked", "cleared"),
    [
        ("node-01", NODE.macs[0], "node-01", True),
        ("compute-1", NODE.macs[0], "compute-1", True),
        ("compute-1", NODE.macs[0], "node-01", True),
        ("node-01", "52:54:00:77:00:99", "node-01", False),
    ],
    ids=["its name", "its new name", "its old name", "another's name now"],
)
def test_clear_finds_the_hardware_by_name(lost, name, mac, asked, cleared):
    fleet = lost.with_name("fleet")
    fleet.mkdir()
    (fleet / "fleet.yaml").write_text(FLEET.format(name=name, mac=mac), "utf-8")
    arguments = [asked, "--repo", str(fleet), "--state", str(lost)]
    done = CliRunner().invoke(clear, arguments, standalone_mode=False, catch_exceptions=False)
    expected = (
        f"{asked}: quarantine lifted; {to_resolve(asked)}"
        if cleared
        else f"{asked}: there was nothing to clear"
    )
    assert done.output.strip() == expected
    database = open_database(lost / "rackwright.db")
    barred = Machines(database).quarantine(NODE.name, NODE.hardware_identities)
    assert (barred == "") is cleared
    database.close()


def test_a_name_that_nothing_ever_had_is_no_success_of_clear(lost):
    fleet = lost.with_name("fleet")
    fleet.mkdir()
    (fleet / "fleet.yaml").write_text(FLEET.format(name="node-01", mac=NODE.macs[0]), "utf-8")
    arguments = ["node-02", "--repo", str(fleet), "--state", str(lost)]
    with pytest.raises(ReconcilerError, match=r"RW934: there is no machine 'node-02'.*node-01"):
        CliRunner().invoke(clear, arguments, standalone_mode=False, catch_exceptions=False)


def test_a_machine_that_cannot_be_reconciled_is_stalled_with_the_cause():
    since = NOW - timedelta(minutes=5)
    fault = Fault(f"machine/{NODE.name}", "RW790", "KeyError: 'x'", since, NOW, 3)
    fleet = a_fleet(NODE, a_machine(2))
    machines = fleet.machines.values()
    world = replace(observed(), faults=(fault,))
    stalled, other = conditions_of(fleet, machines, FleetHardware(machines), world, NOW)
    assert (stalled.condition, stalled.reason) == ("Stalled", "RW790: KeyError: 'x'")
    assert stalled.since == since
    assert other.condition != "Stalled"


# --- clear several ----------------------------------------------------------------------


SECOND = a_machine(2)


@pytest.fixture
def two(lost):
    """Return what ``lost`` does, with a second machine in quarantine and a third that is well."""
    fleet = lost.with_name("fleet")
    fleet.mkdir()
    more = "".join(
        "---\napiVersion: rackwright/v1alpha1\nkind: Machine\n"
        f"metadata: {{name: {machine.name}}}\n"
        f"spec: {{group: lab, hardware: {{macs: ['{machine.macs[0]}']}}}}\n"
        for machine in (SECOND, a_machine(3))
    )
    text = FLEET.format(name="node-01", mac=NODE.macs[0]) + more
    (fleet / "fleet.yaml").write_text(text, "utf-8")
    database = open_database(lost / "rackwright.db")
    observations = Machines(database)
    observations.set_quarantine("node-02", (f"mac:{SECOND.macs[0]}",), "[/dev/sda] \x1b[31m", NOW)
    observations.set_quarantine("gone-01", ("mac:52:54:00:77:00:88",), "alarm", NOW)
    database.close()
    return lost


def asked_to_clear(state, *arguments):
    fleet = state.with_name("fleet")
    options = ["--repo", str(fleet), "--state", str(state)]
    return CliRunner().invoke(
        clear, [*arguments, *options], standalone_mode=False, catch_exceptions=False
    )


def left(state):
    database = open_database(state / "rackwright.db")
    machines = Machines(database)
    names = sorted(each.machine for each in machines.quarantines())
    database.close()
    return names


def test_all_that_there_is_to_clear_is_cleared_a_line_each(two):
    done = asked_to_clear(two, "--all", "--yes")
    assert done.output.splitlines() == [
        f"node-01: quarantine lifted; {to_resolve('node-01')}",
        "node-02: quarantine lifted",
        "gone-01: quarantine lifted",
    ]
    assert left(two) == []


def test_what_nobody_knows_the_end_of_is_left_and_is_no_success_of_clear(two):
    assert asked_to_clear(two, "--all", "--yes").return_value == 1
    again = asked_to_clear(two, "node-01")
    assert (again.output, again.return_value) == (f"node-01: {to_resolve('node-01')}\n", 1)
    database = open_database(two / "rackwright.db")
    assert Ledger(database).history(cloned().op_id)[-1].state is _S.INDETERMINATE
    database.close()
    assert asked_to_clear(two, "node-02").return_value == 0


def test_a_selector_clears_only_what_it_means(two):
    assert asked_to_clear(two, "--select", "name=*2", "--yes").output == (
        "node-02: quarantine lifted\n"
    )
    assert left(two) == ["gone-01", "node-01"]


def test_several_names_are_cleared_in_their_order(two):
    done = asked_to_clear(two, "node-02", "node-03", "node-01", "--yes")
    assert done.output.splitlines() == [
        "node-02: quarantine lifted",
        "node-03: there was nothing to clear",
        f"node-01: quarantine lifted; {to_resolve('node-01')}",
    ]


@pytest.mark.parametrize("arguments", [("--all",), ("--select", "name=*"), ("node-01", "node-02")])
def test_nothing_of_several_is_cleared_without_a_yes(two, arguments):
    with pytest.raises(ReconcilerError) as caught:
        asked_to_clear(two, *arguments)
    assert caught.value.code == "RW917"
    assert left(two) == ["gone-01", "node-01", "node-02"]


def test_the_list_shows_what_would_be_cleared_and_cannot_steer_the_terminal(two, capsys):
    with pytest.raises(ReconcilerError):
        clear.main(
            ["--all", "--repo", str(two.with_name("fleet")), "--state", str(two)],
            standalone_mode=False,
        )
    assert capsys.readouterr().err.splitlines() == [
        f"node-01: quarantined: alarm; {to_resolve('node-01')}",
        "node-02: quarantined: [/dev/sda] \\x1b[31m",
        "gone-01: quarantined: alarm",
    ]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ((), "no machine is named"),
        (("node-01", "--all"), "both names and --all are given"),
        (("--select", "name=*", "--all"), "both --select and --all are given"),
    ],
)
def test_machines_are_named_in_exactly_one_way(two, arguments, cause):
    with pytest.raises(ReconcilerError) as caught:
        asked_to_clear(two, *arguments)
    assert (caught.value.code, caught.value.cause) == ("RW916", cause)


def test_who_lifted_a_quarantine_and_why_is_kept(two):
    asked_to_clear(two, "node-02", "--reason", "its board was replaced")
    database = open_database(two / "rackwright.db")
    with database.reading() as connection:
        (row,) = connection.execute(select(schema.ended_quarantine)).all()
    database.close()
    assert (row.machine, row.alarm, row.reason) == (
        "node-02",
        "[/dev/sda] \x1b[31m",
        "its board was replaced",
    )
    assert row.actor.startswith(f"{login()}@")
