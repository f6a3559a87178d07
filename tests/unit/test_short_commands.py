"""Commands that are asked many times an hour load only what they need.

A module that is loaded by mistake costs every one of them some tenths of a second, which
nobody notices in a test of results.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.git_repository import GitRepository

ROOT = Path(__file__).parents[2]
LAB = ROOT / "examples/lab/fleet"
RUN = """
import atexit, sys
from reconciler.cli.main import main
atexit.register(lambda: sys.stderr.write(" ".join(sys.modules)))
main()
"""
SLOW = frozenset({"alembic", "asyncio", "git", "pydantic", "ruamel", "sqlalchemy"})


def loaded(*arguments: str | Path) -> set[str]:
    """Run one command in a process and return the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["validate", "--help"]])
def test_help_loads_no_large_library(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    assert "reconciler.cli.commands" in modules
    assert sorted(modules & {*SLOW, "rich", "specs.fleet"}) == []


@pytest.mark.parametrize("command", ["plan", "validate"])
def test_a_commit_that_was_compiled_before_is_answered_from_the_cache(
    git_repository: GitRepository, tmp_path: Path, command: str
) -> None:
    files = {path.name: path.read_text("utf-8") for path in LAB.glob("*.yaml")}
    git_repository.commit("The fleet", files)
    options = ["--repo", git_repository.path, "--ref", "HEAD", "--state", tmp_path / "state"]
    assert "specs.compile.fleet" in loaded(command, *options)
    assert sorted(loaded(command, *options) & {*SLOW, "specs.compile.fleet"}) == []
