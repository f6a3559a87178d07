"""Commands that are asked many times an hour load only what they need.

A module that is loaded by mistake costs every one of them some tenths of a second, which
nobody notices in a test of results.
"""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from builders.world import (
    NOW,
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_image,
    observed,
    ramdisk,
)

from reconciler.app.project import Project
from reconciler.errors import StateError
from reconciler.planning.planner import plan
from reconciler.state.captures import Captures
from reconciler.state.database import open_database
from reconciler.state.ledger import Ledger
from reconciler.state.observations import Observations
from reconciler.state.observe import observe
from reconciler.state.operation_states import OperationState
from reconciler.state.rows import StateFile
from tests.unit.git_repository import GitRepository

LAB = Path(__file__).parents[2] / "examples/lab/fleet"
ROOT = Path(__file__).parents[2]
COMPILER = (
    "specs.compile.fleet",
    "specs.validate.model_errors",
    "specs.compile.tables.sheet",
    "reconciler.compiled.compile",
)
OTHER_KINDS = ("specs.kinds.group", "specs.kinds.selector", "specs.kinds.scenario")
OF_A_FLEET = ("specs.fleet", "reconciler.compiled.index", "reconciler.compiled.claims")
OF_SIGNATURES = ("reconciler.git.signature_check", "shutil", "tempfile")
MODELS = ("pydantic", "specs.kinds.record", "specs.kinds.machine", "specs.kinds.group")
SELECTORS = """\
apiVersion: rackwright/v1alpha1
kind: Hold
metadata: {name: freeze}
spec: {select: {machines: ["*"]}, until: "2026-11-21T13:00:00Z", owner: ops, reason: audit}
---
apiVersion: rackwright/v1alpha1
kind: Scenario
metadata: {name: look}
spec: {steps: [{inspectDisks: {}}], targets: [{select: {machines: ["*"]}, run: 1}]}
"""
RUN = """
import sys
from reconciler.cli.commands import cli
code = cli.main(sys.argv[1:], standalone_mode=False)
sys.stderr.write(" ".join(sys.modules))
sys.exit(code)
"""

SEARCHES = """
import atexit, gc, sys
from reconciler.cli.main import main
def searches(): return sum(each["collections"] for each in gc.get_stats())
before = searches()
def told():
    went_on = "yes" if gc.isenabled() else "no"
    at_the_end = "no" if gc.get_freeze_count() else "yes"
    sys.stderr.write(f"{searches() - before} searches, to go on: {went_on}, ")
    sys.stderr.write(f"at the end: {at_the_end}")
atexit.register(told)
main()
"""


@pytest.fixture
def fleet(git_repository: GitRepository) -> GitRepository:
    """Return the example fleet in Git, its machines in a file each, with a hold and a target."""
    files = {path.name: path.read_text("utf-8") for path in LAB.glob("*.yaml")}
    for number, text in enumerate(files.pop("machines.yaml").split("\n---\n")):
        files[f"machine{number}.yaml"] = text
    files["selectors.yaml"] = SELECTORS
    git_repository.commit("The fleet", files)
    return git_repository


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run(fleet: GitRepository, state: Path, *arguments: str) -> tuple[str, set[str]]:
    """Run one command in a process; return what it printed and the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments, "--repo", fleet.path, "--state", state],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout, set(done.stderr.split())


def searches(arguments: list[str]) -> str:
    """Run one command in a process; return what it says of its searches for garbage."""
    command = [sys.executable, "-c", SEARCHES, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stderr


def touch_machine(fleet: GitRepository) -> Path:
    """Give one machine another label, in its file only."""
    path = fleet.path / "machine0.yaml"
    text = path.read_text("utf-8")
    changed = text.replace("  name: ", "  labels: {touched: yes}\n  name: ", 1)
    changed = changed.replace("{name: ", '{labels: {touched: "yes"}, name: ', 1)
    assert changed != text
    path.write_text(changed, "utf-8")
    return path


def observe_something(fleet: GitRepository, state: Path) -> None:
    """Write reports, an operation that is armed, a capture and a bar."""
    desired = Project(str(fleet.path), "HEAD", state).fleet
    node = a_machine(1, "clone-golden")
    world = observed({node.name: ramdisk(node, a_disk())}, (an_image(),))
    restore = plan(a_fleet(node), world, NOW).items[0].operation
    assert restore is not None
    database = open_database(state / "rackwright.db")
    try:
        observations, ledger = Observations(database), Ledger(database)
        for machine in desired.machines.values():
            observations.record_report(machine, a_report(machine, a_disk()), NOW)
            observations.record_contact(machine, "deploy-os", NOW)
        observations.set_quarantine("somebody", ("mac:52:54:00:99:99:99",), "alarm", NOW)
        ledger.plan(restore, NOW, "ada")
        path = (OperationState.PLANNED, OperationState.APPROVED, OperationState.ARMED)
        for before, after in pairwise(path):
            ledger.move(
                restore.op_id, before, after, attempt=1, at=NOW, actor="ada", reason="because"
            )
        Captures(database).record(restore.op_id, "golden", "m" * 64)
    finally:
        database.close()


@pytest.mark.parametrize("command", ["status", "plan"])
def test_what_was_observed_is_read_without_the_mapping_of_tables(fleet, state, command):
    before, _ = run(fleet, state, command)
    observe_something(fleet, state)
    printed, modules = run(fleet, state, command)
    assert printed != before
    assert sorted(modules & {"sqlalchemy", "alembic", "git", "pydantic"}) == []


def test_the_file_of_the_state_reads_as_the_database_does(fleet, state):
    observe_something(fleet, state)
    path = state / "rackwright.db"
    machines = Project(str(fleet.path), "HEAD", state).fleet.machines.values()
    database = open_database(path)
    try:
        ordinary = observe(database, machines, {}, NOW)
        plain = observe(StateFile(path), machines, {}, NOW)
        assert plain == ordinary
        assert [each.state for each in plain.operations] == [OperationState.ARMED]
        assert [each.operation.steps for each in plain.operations] != [()]
        assert len(plain.captures) == len(plain.beginnings) == 1
        assert all(each.ramdisk.report.disks for each in plain.machines.values())
    finally:
        database.close()


def test_a_state_file_that_is_none_is_refused_by_name(tmp_path):
    path = tmp_path / "rackwright.db"
    path.write_text("no database")
    with pytest.raises(StateError) as caught:
        StateFile(path).rows("SELECT 1 FROM capture")
    assert str(caught.value) == (
        f"RW701: the state database {path} cannot be used: file is not a database. "
        "Restore it from a backup, or name another directory with --state."
    )


def test_a_file_that_was_edited_is_checked_without_the_models_of_documents(fleet, state):
    run(fleet, state, "plan")
    printed, modules = run(fleet, state, "validate", str(touch_machine(fleet)))
    assert printed.startswith("valid: 1 file(s)")
    assert "specs.validate.document" in modules
    assert (
        sorted(modules & {*COMPILER, *MODELS, "git", "multiprocessing", "rich", "sqlalchemy"}) == []
    )


def test_a_file_that_is_as_it_was_committed_is_known_to_be_sound(fleet, state):
    run(fleet, state, "plan")
    printed, modules = run(fleet, state, "validate", str(fleet.path / "machine0.yaml"))
    assert printed.startswith("valid: 1 file(s)")
    assert (
        sorted(modules & {"pydantic", "ruamel", "specs.validate.document", "git", "sqlalchemy"})
        == []
    )
    assert (
        sorted(modules & {*OF_A_FLEET, *OF_SIGNATURES, "specs.diagnostics.diagnostic", "rich"})
        == []
    )


def test_warnings_are_shown_of_a_file_that_is_as_it_was_committed(fleet, state):
    path = fleet.path / "machine0.yaml"
    path.write_text(path.read_text("utf-8") + "\n---\n", "utf-8")
    fleet.git("commit", "--all", "--message", "A document with nothing in it")
    first, _ = run(fleet, state, "validate", str(path))
    again, modules = run(fleet, state, "validate", str(path))
    assert "RW107" in again
    assert again == first
    assert sorted(modules & set(OF_A_FLEET)) == []


def test_a_commit_that_touches_a_machine_is_planned_without_the_models_of_documents(fleet, state):
    run(fleet, state, "plan")
    touch_machine(fleet)
    fleet.git("commit", "--all", "--message", "One machine")
    _, modules = run(fleet, state, "plan")
    assert "specs.validate.document" in modules
    assert sorted(modules & {*COMPILER, *MODELS, "git", "multiprocessing", "sqlalchemy"}) == []


def test_a_plan_of_what_is_known_loads_no_model_and_no_yaml(fleet, state):
    run(fleet, state, "plan")
    _, modules = run(fleet, state, "plan")
    unwanted = {"git", "multiprocessing", "pydantic_core", "ruamel", "specs.validate.document"}
    assert sorted(modules & unwanted) == []
    assert sorted(modules & set(OF_SIGNATURES)) == []


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["validate", "--help"]])
def test_a_brief_command_never_searches_for_garbage(arguments):
    assert searches(arguments) == "0 searches, to go on: no, at the end: no"


def test_a_brief_command_closes_its_cache(fleet, state):
    command = [sys.executable, "-m", "reconciler.cli", "plan"]
    for _ in range(2):
        subprocess.run(
            [*command, "--repo", fleet.path, "--state", state],
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
    assert [path.name for path in (state / "cache").iterdir()] == ["fleet.db"]


def test_a_command_that_may_run_long_searches_for_garbage():
    assert searches(["apply", "--help"]).endswith("to go on: yes, at the end: yes")
