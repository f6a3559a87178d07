"""Commands that are asked many times an hour load only what they need.

A module that is loaded by mistake costs every one of them some tenths of a second, which
nobody notices in a test of results.
"""

import subprocess
import sys
from pathlib import Path

import pytest

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
