"""Work that people start and stop by hand, and what is kept of it."""

import csv
import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from builders.loop_server import LoopServer
from builders.world import NOW, a_fleet, a_machine
from click.testing import CliRunner
from rich.console import Console

from agent.wire.work import OperationEvent
from reconciler.app.cancel import Cancellations, require_reason
from reconciler.cli.clear import clear
from reconciler.cli.commands import cli
from reconciler.errors import ReconcilerError, StateError
from reconciler.planning.planner import plan
from reconciler.state.machine_history import MachineHistory
from reconciler.state.operation_states import OperationState
from reconciler.state.runs import Runs
from reconciler.state.world import observe
from reconciler.views.plan_words import approval
from reconciler.views.run_csv import COLUMNS, runs_csv
from reconciler.views.run_json import run_document
from reconciler.views.run_text import run_parts, runs_table
from reconciler.views.untrusted import for_terminal

_S = OperationState
BARE, OTHER = a_machine(1), a_machine(2, "clone-golden")
REASON = "=1+1 \x1b[31mred"


@pytest.fixture
def server(tmp_path):
    server = LoopServer(tmp_path / "rackwright.db", a_fleet(BARE, OTHER))
    server.reports(BARE, OTHER)
    yield server
    server.close()


def seen(server):
    fleet = server.loop.fleet
    return observe(server.database, fleet.machines.values(), server.outside.images(), server.now)


def run_by_hand(server, *machines, **more):
    return server.run_by_hand("clone-golden", *machines, **more)


def says(server, machine, kind, step, sequence, **more):
    """Let the agent say something, as the server's interface does."""
    (status,) = server.loop.work_of(machine.name)
    event = OperationEvent(status.attempt, sequence, kind, step, **more)
    server.plane.ledger.record_progress(status.operation.op_id, event, server.now)


def begins(server, machine):
    server.run()
    answer = server.boots_over_the_network(machine)
    assert server.plane.claim(machine.name, answer.grant.operation, answer.grant.attempt)
    return answer.grant.operation


# --- by hand ---------------------------------------------------------------------------


def test_a_scenario_that_no_document_assigns_runs_by_hand(server):
    made, run = run_by_hand(server, BARE)
    (item,) = made.items
    assert (item.machine, item.risk.value) == ("node-01", "DESTRUCTIVE")
    assert item.operation.is_by_hand
    op_id = begins(server, BARE)
    assert Runs(server.database).op_ids(run) == (op_id,)
    (summary,) = Runs(server.database).newest(9, ["run"])
    assert (summary.run, summary.scenarios) == (run, ("clone-golden",))
    assert summary.counts == {_S.STARTED: 1}
    assert (run.actor, run.reason, run.revision) == ("ada", "disk replaced", "f00d")


def test_what_documents_assign_is_planned_as_before_after_a_run_by_hand(server):
    run_by_hand(server, BARE)
    op_id = begins(server, BARE)
    server.plane.ledger.move(
        op_id, _S.STARTED, _S.VERIFIED, attempt=1, at=NOW, actor="server", reason="done"
    )
    items = plan(server.loop.fleet, seen(server), NOW).items
    assert [item.machine for item in items] == ["node-02"]


def test_a_protected_machine_is_not_overwritten_by_hand(server):
    kept = replace(BARE, protect=True)
    server.use(a_fleet(kept, OTHER))
    made, run = run_by_hand(server, kept)
    assert run is None
    assert "the machine is protected" in made.items[0].reason


def test_a_run_by_hand_comes_after_what_is_under_way_there(server):
    server.approve_all()
    server.run()
    made, _ = run_by_hand(server, OTHER, number=2)
    assert made.items[0].starts
    server.run()
    states = {each.operation.run: each.state for each in server.loop.operations.current()}
    assert states == {"1": _S.ARMED, "by-hand/20261121-120002-abcd": _S.APPROVED}
    (first,) = (each for each in server.loop.work_of("node-02") if each.state is _S.ARMED)
    server.plane.fail(first, "it did not work out", "test")
    server.run()
    (second,) = server.loop.work_of("node-02")
    assert second.state is _S.ARMED


def test_a_machine_whose_disks_are_being_looked_at_keeps_no_other_from_running(tmp_path):
    unseen, seen_one = a_machine(7, "clone-golden"), a_machine(8)
    server = LoopServer(tmp_path / "db", a_fleet(unseen, seen_one), unattended=True)
    server.reports(seen_one)
    server.waits_in_ram(unseen)
    server.run()
    assert server.states() == {"node-07": _S.ARMED}
    made, run = run_by_hand(server, unseen, seen_one)
    assert {item.machine: item.starts for item in made.items} == {"node-07": False, "node-08": True}
    assert len(Runs(server.database).op_ids(run)) == 1
    server.close()


@pytest.mark.parametrize("reason", ["", "  ", "\ud800"])
def test_a_reason_that_cannot_be_kept_is_refused(reason):
    with pytest.raises(ReconcilerError, match="RW941: "):
        require_reason(reason)


def test_a_reason_is_short():
    require_reason("x" * 1000)
    with pytest.raises(ReconcilerError, match="RW974: the reason has 1,001 characters, more than"):
        require_reason("x" * 1001)
    assert CliRunner().invoke(clear, ["node-01", "--reason", "x" * 1001]).exception.code == "RW974"


@pytest.mark.parametrize(
    ("fleet", "why"),
    [
        (a_fleet(OTHER), "no document, or more than one, has the hardware now"),
        (a_fleet(replace(BARE, protect=True)), "the machine is protected"),
        (replace(a_fleet(BARE), scenarios={}), "there is no scenario clone-golden any more"),
    ],
    ids=["removed", "protected", "no scenario"],
)
def test_a_run_by_hand_lapses_too(server, fleet, why):
    run_by_hand(server, BARE)
    server.run()
    server.use(a_fleet(BARE, OTHER))
    server.run()
    assert server.states() == {"node-01": _S.ARMED}
    server.use(fleet)
    server.run()
    (status,) = server.loop.operations.current()
    assert status.state is _S.PLANNED
    assert why in status.reason


# --- cancel ----------------------------------------------------------------------------


def cancelled(server, *machines):
    cancellations = Cancellations(server.database, server.loop.fleet)
    return [
        cancellations.cancel(each, "bob", "wrong image", server.now)
        for each in cancellations.of_machines(machines)
    ]


def test_what_waits_is_cancelled_and_never_begins(server):
    server.approve_all()
    assert cancelled(server, OTHER) == ["nothing was begun"]
    server.run()
    assert server.outside.woken == []
    (status,) = server.loop.operations.current()
    assert status.state is _S.CANCELLED
    assert status.reason == "nothing was begun. bob says: wrong image"


def test_what_is_armed_is_cancelled_and_its_grant_is_dead(server):
    server.approve_all()
    server.run()
    grant = server.boots_over_the_network(OTHER).grant
    assert cancelled(server, OTHER) == ["nothing was begun"]
    assert not server.plane.claim(OTHER.name, grant.operation, grant.attempt)
    server.run()
    assert server.plane.work(OTHER.name) is None
    assert not server.loop.has_work(OTHER.name)


@pytest.mark.parametrize(
    ("step", "consequence"),
    [
        (0, "no disk was written"),
        (1, "disk node-02 is overwritten in part: it must be restored before it is used"),
        (2, "disk node-02 is overwritten in part: it must be restored before it is used"),
    ],
)
def test_an_agent_at_work_is_refused_from_then_on(server, step, consequence):
    server.approve_all()
    op_id = begins(server, OTHER)
    for number in range(step + 1):
        says(server, OTHER, "step-started", number, number + 1)
    assert cancelled(server, OTHER) == [consequence]
    assert server.plane.started(OTHER.name, op_id, 1) is None
    server.run()
    assert not server.loop.has_work(OTHER.name)
    (item,) = plan(server.loop.fleet, seen(server), NOW).items
    assert item.reason.startswith(f"cancelled: {consequence}. bob says: wrong image")
    assert item.reason.endswith("give the assignment a new run token")


def test_it_is_too_late_when_only_the_proof_is_missing(server):
    server.approve_all()
    begins(server, OTHER)
    says(server, OTHER, "done", 3, 1)
    with pytest.raises(ReconcilerError, match=r"RW946: operation \w+ of node-02 cannot be cancel"):
        cancelled(server, OTHER)


def test_what_went_on_while_it_was_asked_about_is_not_cancelled_as_it_was(server):
    server.approve_all()
    begins(server, OTHER)
    cancellations = Cancellations(server.database, server.loop.fleet)
    (asked,) = cancellations.of_machines([OTHER])
    assert asked.consequence == "no disk was written"
    says(server, OTHER, "step-started", 1, 1)
    with pytest.raises(ReconcilerError, match=r"RW947: .*went on meanwhile: disk node-02 is over"):
        cancellations.cancel(asked, "bob", "wrong image", server.now)
    says(server, OTHER, "done", 3, 2)
    with pytest.raises(ReconcilerError, match=r"RW947: .*all its steps are done"):
        cancellations.cancel(asked, "bob", "wrong image", server.now)
    assert server.states()["node-02"] is _S.STARTED


@pytest.mark.parametrize("claims", [False, True], ids=["armed again", "claimed again"])
def test_what_an_earlier_attempt_wrote_is_said(server, claims):
    server.approve_all()
    begins(server, OTHER)
    says(server, OTHER, "step-started", 1, 1)
    grant = server.restarts(OTHER).grant
    assert grant.attempt == 2
    if claims:
        assert server.plane.claim(OTHER.name, grant.operation, 2)
    assert cancelled(server, OTHER) == [
        "disk node-02 is overwritten in part: it must be restored before it is used"
    ]


def test_what_was_written_before_steps_were_recorded_is_said_too(server):
    server.approve_all()
    begins(server, OTHER)
    says(server, OTHER, "step-started", 1, 1)
    with server.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM step")
    assert server.restarts(OTHER).grant.attempt == 2
    assert cancelled(server, OTHER) == [
        "disk node-02 is overwritten in part: it must be restored before it is used"
    ]


def test_a_place_in_the_budget_is_given_back(server):
    third = a_machine(3, "clone-golden")
    server.use(a_fleet(OTHER, third))
    server.reports(third)
    server.approve_all()
    begins(server, OTHER)
    assert server.states()["node-03"] is _S.APPROVED
    cancelled(server, OTHER)
    server.run()
    assert server.states()["node-03"] is _S.ARMED


def test_all_that_is_under_way_of_a_run_is_cancelled_and_nothing_else(server):
    server.approve_all()
    _, run = run_by_hand(server, BARE)
    found = Cancellations(server.database, server.loop.fleet).of_run(run)
    assert [each.status.operation.machine for each in found] == ["node-01"]


def test_a_machine_that_no_document_has_any_more_is_found_by_its_last_name(server):
    server.approve_all()
    begins(server, OTHER)
    server.use(a_fleet(BARE))
    (found,) = Cancellations(server.database, server.loop.fleet).of_names(["node-02"])
    assert found.status.state is _S.STARTED
    with pytest.raises(ReconcilerError, match=r"RW934: there is no machine 'node-11'.*node-01"):
        Cancellations(server.database, server.loop.fleet).of_names(["node-11"])


# --- what is kept ----------------------------------------------------------------------


@pytest.fixture
def kept(server):
    """Return a run whose work is at its third step, and its operations."""
    _, run = run_by_hand(server, BARE, reason=REASON)
    begins(server, BARE)
    says(server, BARE, "step-started", 0, 1)
    server.now += timedelta(seconds=3)
    says(server, BARE, "step-done", 0, 2)
    says(server, BARE, "step-started", 1, 3)
    server.now += timedelta(seconds=20)
    says(server, BARE, "step-done", 1, 4, bytes_done=400_000_000, bytes_total=400_000_000)
    says(server, BARE, "step-started", 2, 5)
    server.now += timedelta(seconds=4)
    says(server, BARE, "step-started", 2, 5)  # delivered twice
    runs = Runs(server.database)
    return runs.summary(run), MachineHistory(server.database).of_run(run.run_id)


def shown(parts, width=80):
    screen = Console(file=StringIO(), width=width, color_system=None, highlight=False)
    for part in parts:
        screen.print(part)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


@pytest.mark.parametrize("name", ["計算ノード 七", "[red]x[/red]", "\x1b[2J"])
def test_a_run_names_machines_as_people_call_them(server, kept, name):
    summary, operations = kept
    lines = shown(run_parts(summary, operations, {}, server.now, {BARE.name: name}))
    assert any(line.startswith(f"{for_terminal(name)} ({BARE.name})  ") for line in lines)


def test_a_run_shows_each_step_with_its_time_bytes_and_rate(server, kept):
    summary, operations = kept
    lines = shown(run_parts(summary, operations, {}, server.now))
    assert lines[:7] == [
        f"run {summary.run.run_id}",
        "  run by ada, 27 s ago (2026-11-21 12:00:00 UTC)",
        "  reason: =1+1 \\x1b[31mred",
        f"  commit f00d, plan {summary.run.plan_digest[:12]}",
        "  1 started",
        "",
        "node-01  started since 27 s",
    ]
    assert lines[9:] == [
        "  inspect disks    3 s",
        "  restore         20 s  400.0 MB  20.0 MB/s",
        "  apply identity   4 s",
    ]


@pytest.mark.parametrize("width", [80, 140])
def test_runs_fit_the_terminal(server, kept, width):
    lines = shown([runs_table([kept[0]], server.now, width)], width)
    assert max(map(len, lines)) <= width
    assert kept[0].run.run_id in "".join(lines)
    assert ("ada" in "".join(lines)) is (width == 140)


def test_a_run_as_json_has_every_step(server, kept):
    document = json.loads(json.dumps(run_document(*kept, {}, server.now)))
    (operation,) = document["operations"]
    assert [(step["step"], step["bytes"]) for step in operation["steps"]] == [
        ("inspectDisks", 0),
        ("restore", 400_000_000),
        ("applyIdentity", 0),
    ]
    assert document["counts"] == {"started": 1}


def test_csv_has_a_line_for_each_step_and_no_spreadsheet_calculates(kept):
    summary, operations = kept
    rows = list(csv.DictReader(StringIO(runs_csv([(summary.run, operations)]))))
    assert [row["step"] for row in rows] == ["inspectDisks", "restore", "applyIdentity"]
    assert {row["reason"] for row in rows} == {f"'{REASON}"}
    assert tuple(rows[0]) == COLUMNS


def test_work_that_never_began_is_in_the_csv_too(server):
    _, run = run_by_hand(server, BARE)
    operations = MachineHistory(server.database).of_run(run.run_id)
    (row,) = csv.DictReader(StringIO(runs_csv([(run, operations)])))
    assert (row["machine"], row["state"], row["step"]) == ("node-01", "approved", "")


def test_a_list_shows_the_beginning_of_a_long_reason(server):
    _, run = run_by_hand(server, BARE)
    (summary,) = Runs(server.database).newest(1, ["run"])
    long = summary._replace(run=run._replace(reason="because " * 100))
    lines = shown([runs_table([long], server.now, 140)], 140)
    assert len(lines) < 8
    assert "…" in "".join(lines)


def test_a_run_is_found_by_the_beginning_of_its_id(server):
    _, run = run_by_hand(server, BARE)
    server.now += timedelta(minutes=1)
    _, other = run_by_hand(server, BARE, number=2)
    runs = Runs(server.database)
    assert runs.find("20261121-120001") == run
    assert [each.run for each in runs.newest(9, ["run"])] == [other, run]
    with pytest.raises(StateError, match="RW707: several runs begin with 2026"):
        runs.find("2026")
    with pytest.raises(StateError, match="RW707: there is no run %%%%"):
        runs.find("%%%%")


@pytest.mark.parametrize("beginning", ["", "2", "202"])
def test_a_run_is_not_named_by_so_few_characters(server, beginning):
    run_by_hand(server, BARE)
    with pytest.raises(StateError, match=r"RW973: '.*' is too short to name a run"):
        Runs(server.database).find(beginning)


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs",),
        ("runs", "--format", "json"),
        ("runs", "show", "20261121"),
        ("runs", "watch", "20261121"),
        ("runs", "export", "--csv", "-"),
        ("breaker",),
        ("breaker", "reset", "--reason", "it is mended"),
        ("rollout",),
        ("rollout", "show", "20261121"),
        ("rollout", "halt", "20261121", "--reason", "look at it"),
        ("rollout", "resume", "20261121", "--reason", "it is well"),
        ("rollout", "abort", "20261121", "--reason", "wrong image"),
        ("resolve", "--all"),
        ("cancel", "node-07", "--reason", "wrong image"),
        ("clear", "--all", "--yes"),
        ("adopt", "--all", "--group", "a"),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["options first", "options last"])
def test_where_there_is_no_state_that_is_said_and_none_is_made(tmp_path, arguments, before):
    options = ["--repo", str(tmp_path), "--state", str(tmp_path / "mistyped")]
    command, *others = arguments
    line = [command, *options, *others] if before else [command, *others, *options]
    with pytest.raises(ReconcilerError, match=r"RW972: there is no state database in .*mistyped"):
        CliRunner().invoke(cli, line, standalone_mode=False, catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["group", "command", "both"])
def test_the_state_directory_may_be_named_before_and_after_a_subcommand(
    tmp_path, monkeypatch, place
):
    monkeypatch.setenv("RACKWRIGHT_STATE", str(tmp_path / "of-the-environment"))
    outer = ["--state", str(tmp_path / "group")] if place in {"group", "both"} else []
    inner = ["--state", str(tmp_path / "command")] if place in {"command", "both"} else []
    wanted = "group" if place == "group" else "command"
    with pytest.raises(ReconcilerError, match=f"RW972: .*/{wanted}[.] Name"):
        CliRunner().invoke(
            cli,
            ["runs", *outer, "show", "20261121", *inner],
            standalone_mode=False,
            catch_exceptions=False,
        )


def test_the_format_may_be_named_before_and_after_a_subcommand(server, tmp_path):
    _, run = run_by_hand(server, BARE)
    options = ["--state", str(tmp_path), "--repo", str(tmp_path)]
    before, after = (
        CliRunner().invoke(cli, line, standalone_mode=False, catch_exceptions=False).output
        for line in (
            ["runs", *options, "--format", "json", "show", run.run_id],
            ["runs", "show", run.run_id, *options, "--format", "json"],
        )
    )
    assert json.loads(before)["run"] == json.loads(after)["run"] == run.run_id


def test_the_plan_of_a_run_says_what_run_asks(server):
    made, _ = run_by_hand(server, BARE)
    sentence, *_ = approval(made, "run")
    assert sentence == (
        "Approval: 1 disk will be overwritten; `rackwright run` asks you to type 1."
    )


def test_what_the_server_starts_by_itself_is_one_run_a_day(tmp_path):
    machines = [a_machine(number, "clone-golden") for number in (1, 2)]
    server = LoopServer(tmp_path / "db", a_fleet(*machines), unattended=True)
    server.waits_in_ram(*machines)
    server.run()
    (summary,) = Runs(server.database).newest(9, ["unattended"])
    assert (summary.run.run_id, summary.run.actor) == ("20261121-unattended", "server")
    assert summary.operations == 2
    server.close()


def test_what_lapsed_and_was_approved_again_belongs_to_both_runs(server):
    server.approve_all()
    server.use(a_fleet(BARE, replace(OTHER, protect=True)))
    server.run()
    server.use(a_fleet(BARE, OTHER))
    server.now += timedelta(minutes=1)
    server.approve_all()
    found = Runs(server.database).newest(9, ["apply"])
    assert [each.counts for each in found] == [{_S.APPROVED: 1}] * 2
