"""A person's word on work of unknown outcome: the evidence, the answer, and what follows."""

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from builders.loop_server import LoopServer
from builders.world import a_disk, a_fleet, a_machine, a_report, an_installed_system
from click.testing import CliRunner
from rich.console import Console

from agent.wire.work import OperationEvent
from reconciler.app.resolve import Resolutions, require_meant_together
from reconciler.authoring.rewrite import AuthoringError
from reconciler.cli.agreement import who
from reconciler.cli.commands import cli
from reconciler.errors import ReconcilerError, StateError
from reconciler.planning.planner import plan
from reconciler.state.ledger import Ledger
from reconciler.state.operation_states import TRANSITIONS, OperationState
from reconciler.state.world import observe
from reconciler.views.unresolved_text import unresolved_parts
from specs.fleet import DEFAULT_WAITS

_S = OperationState
NODE, OTHER = a_machine(1, "clone-golden"), a_machine(2, "clone-golden")


@pytest.fixture
def server(tmp_path):
    """Return a server whose agent fell silent in the middle of a restore of node-01."""
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(NODE, OTHER, at_once=2))
    server.reports(NODE, OTHER)
    server.approve_all()
    server.run()
    for machine in (NODE, OTHER):
        answer = server.boots_over_the_network(machine)
        server.plane.claim(machine.name, answer.grant.operation, answer.grant.attempt)
    says(server, "step-started", 0, 1, machine=OTHER)
    says(server, "step-started", 1, 1)
    says(server, "progress", 1, 2, bytes_done=1_200_000, bytes_total=4_000_000)
    server.now += timedelta(seconds=DEFAULT_WAITS.silence_seconds + 1)
    server.run()
    assert set(server.states().values()) == {_S.INDETERMINATE}
    yield server
    server.close()


def says(server, kind, step, sequence, machine=NODE, **more):
    (status,) = server.loop.work_of(machine.name)
    event = OperationEvent(status.attempt, sequence, kind, step, **more)
    server.plane.ledger.record_progress(status.operation.op_id, event, server.now)


def resolutions(server):
    return Resolutions(server.database, server.loop.fleet, server.now)


def resolve(server, machine, *, did_run):
    found = resolutions(server)
    found.resolve(found.of_machines([machine]), "bob@desk", "I looked at it", did_run=did_run)
    return Ledger(server.database).history(op_of(server, machine))[-1]


def op_of(server, machine):
    statuses = server.loop.operations.current()
    return next(each.operation.op_id for each in statuses if each.operation.machine == machine.name)


def planned(server):
    fleet = server.loop.fleet
    world = observe(server.database, fleet.machines.values(), server.outside.images(), server.now)
    return {item.machine: item for item in plan(fleet, world, server.now).items}


def text_of(found, now, width=80):
    out = io.StringIO()
    screen = Console(file=out, width=width, highlight=False)
    for each in found:
        for part in unresolved_parts(each, now):
            screen.print(part)
    return out.getvalue()


def test_did_run_verifies_the_work_in_a_persons_name(server):
    last = resolve(server, NODE, did_run=True)
    assert (last.state, last.actor) == (_S.VERIFIED, "bob@desk")
    assert last.reason == "bob@desk says that it did run: I looked at it"


def test_what_a_person_verified_is_not_shown_as_converged_before_its_agent_reported(server):
    resolve(server, NODE, did_run=True)
    assert planned(server)["node-01"].reason == "the installed agent was not heard at all"


def test_did_not_run_cancels_the_work_and_its_disks_are_looked_at_first(server):
    last = resolve(server, NODE, did_run=False)
    assert (last.state, last.actor) == (_S.CANCELLED, "bob@desk")
    assert "give the assignment a new run token" in planned(server)["node-01"].unblock.lower()
    again = a_machine(1, "clone-golden")
    (assignment,) = again.assignments
    again = replace(again, assignments=(replace(assignment, run="2"),))
    server.use(a_fleet(again, OTHER))
    item = planned(server)["node-01"]
    assert item.action == "inspect"
    assert item.reason == (
        "nobody knows what clone-golden, which was stopped, left on its disks; the machine may be "
        "in use"
    )
    server.now += timedelta(minutes=1)
    server.reports(again)
    assert planned(server)["node-01"].action == "restore"


def test_an_indeterminate_operation_goes_on_by_its_agent_or_where_a_person_says():
    assert TRANSITIONS[_S.INDETERMINATE] == {_S.VERIFIED, _S.CANCELLED, _S.STARTED}


def test_the_evidence_is_all_that_is_known(server):
    system = an_installed_system(NODE, op_of(server, NODE))
    server.loop.machines.record_report(
        NODE, a_report(NODE, a_disk("[/dev/sda] \x1b[31m"), installed=system), server.now
    )
    server.boots_over_the_network(NODE)
    server.loop.boots.write_all()
    (found,) = resolutions(server).of_machines([NODE])
    text = " ".join(text_of([found], server.now, 140).split())
    op_id = op_of(server, NODE)[:12]
    assert f"node-01 clone-golden run 1, operation {op_id}" in text
    assert "RW613: nothing was heard within 10m (waits.silence) since 12:00:00 UTC." in text
    assert "step 2 of 4" in text
    assert "restore: began 2026-11-21 12:00:00 UTC (10 min ago), not known to have ended" in text
    assert "1.2 MB of 4.0 MB" in text
    assert "last word 2026-11-21 12:00:00 UTC (10 min ago)" in text
    assert "boot requests 1" in text
    assert "written by this operation; reported 2026-11-21 12:10:01 UTC" in text
    assert "[/dev/sda] \\x1b[31m" in text
    assert "\x1b" not in text


def test_what_was_never_heard_is_said(server):
    (found,) = resolutions(server).of_machines([OTHER])
    text = " ".join(text_of([found], server.now, 140).split())
    assert "none since the work began" in text
    assert "no installed agent was ever heard" in text


def test_several_machines_are_meant_together_only_where_that_is_said(server):
    found = resolutions(server).of_all()
    assert [each.status.operation.machine for each in found] == ["node-01", "node-02"]
    with pytest.raises(ReconcilerError, match="RW967: 2 machines are meant"):
        require_meant_together(found, everything=False)
    require_meant_together(found, everything=True)
    require_meant_together(found[:1], everything=False)


def test_of_several_all_are_resolved_or_none(server):
    found = resolutions(server).of_all()
    resolve(server, OTHER, did_run=True)
    with pytest.raises(StateError, match="RW704"):
        resolutions(server).resolve(found, "bob", "x", did_run=True)
    assert server.states()["node-01"] is _S.INDETERMINATE


def test_a_name_that_nothing_ever_had_is_an_error(server):
    with pytest.raises(AuthoringError, match="RW934"):
        resolutions(server).of_names(["node-99"])


def test_the_evidence_of_a_machine_that_left_the_fleet_is_found(server):
    server.use(a_fleet(OTHER))
    assert [each.status.operation.machine for each in resolutions(server).of_all()] == [
        "node-01",
        "node-02",
    ]


# --- the command ------------------------------------------------------------------------


@pytest.fixture
def places(server, tmp_path):
    """Return the options that name the server's state, and documents of its machines."""
    assert server.states()
    documents = [
        {"kind": "Fleet", "metadata": {"name": "f"}},
        {"kind": "Network", "metadata": {"name": "n"}, "spec": {"subnet": "10.77.0.0/24"}},
        {"kind": "Group", "metadata": {"name": "lab"}, "spec": {"network": "n"}},
    ]
    for machine in (NODE, OTHER):
        hardware = {"macs": list(machine.macs), "uuid": machine.uuid}
        spec = {"group": "lab", "hardware": hardware}
        documents.append({"kind": "Machine", "metadata": {"name": machine.name}, "spec": spec})
    text = "\n---\n".join(
        json.dumps({"apiVersion": "rackwright/v1alpha1", **each}) for each in documents
    )
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "fleet.yaml").write_text(text, "utf-8")
    return ["--repo", str(tmp_path / "fleet"), "--state", str(tmp_path)]


def said(places, *arguments):
    return CliRunner().invoke(
        cli, ["resolve", *arguments, *places], standalone_mode=False, catch_exceptions=False
    )


def test_without_an_answer_what_is_known_is_shown_and_nothing_changes(server, places):
    done = said(places, "node-01")
    assert done.return_value == 1
    assert "nothing was heard within 10m (waits.silence) since 12:00:00 UTC." in done.stdout
    assert done.stderr == "say --did-run or --did-not-run, with --reason, to end it\n"
    assert server.states()["node-01"] is _S.INDETERMINATE


def test_the_evidence_comes_before_the_answer(server, places):
    done = said(places, "node-01", "--did-not-run", "--reason", "blank", "--yes")
    assert "nothing was heard within 10m (waits.silence) since 12:00:00 UTC." in done.stderr
    assert done.stdout == "node-01: cancelled; its disks are looked at before anything else\n"
    last = Ledger(server.database).history(op_of(server, NODE))[-1]
    assert (last.state, last.actor) == (_S.CANCELLED, who())
    assert server.states()["node-02"] is _S.INDETERMINATE


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["node-01", "--did-run"], "RW941"),
        (["node-01", "--did-run", "--reason", "x"], "RW917"),
        (["node-01", "node-02", "--did-run", "--reason", "x", "--yes=2"], "RW967"),
        (["--select", "name=node-*", "--did-run", "--reason", "x", "--yes=2"], "RW967"),
        (["--all", "--did-run", "--reason", "x", "--yes"], "RW905"),
        (["--all", "--did-run", "--reason", "x"], "RW917"),
        (["--did-run", "--reason", "x", "--yes"], "RW916"),
    ],
    ids=["no reason", "nobody to ask", "two", "selected", "no number", "unasked", "none named"],
)
def test_nothing_is_resolved_by_an_answer_that_is_not_whole(server, places, arguments, code):
    with pytest.raises(ReconcilerError) as refused:
        said(places, *arguments)
    assert refused.value.code == code
    assert set(server.states().values()) == {_S.INDETERMINATE}


def test_all_are_resolved_by_their_number(server, places):
    done = said(places, "--all", "--did-run", "--reason", "both boot", "--yes=2")
    assert done.stdout == "node-01: verified\nnode-02: verified\n"
    assert set(server.states().values()) == {_S.VERIFIED}
    assert said(places, "--all").stdout == "there is nothing of unknown outcome\n"
