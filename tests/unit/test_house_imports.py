"""Imports point one way, and what runs on machines stays light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What an installed system's Python has, and the four pure packages that are sent along.
ON_EVERY_MACHINE = sys.stdlib_module_names | {"agent", "attr", "attrs", "cattrs", "urllib3"}
OLDEST_PYTHON = (3, 9)


def machine_modules() -> list[Path]:
    """Return the agent's modules that run on whatever Python a system has."""
    agent = ROOT / "agent"
    return [path for path in agent.rglob("*.py") if agent / "imaging" not in path.parents]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield node.module or ""


def test_the_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_agent_imports_only_what_every_machine_has() -> None:
    strange = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in machine_modules()
        for name in imported(ast.parse(path.read_text()))
        if name.partition(".")[0] not in ON_EVERY_MACHINE
    }
    assert strange == set()


def test_only_the_runner_of_the_agent_starts_programs() -> None:
    starting = {"subprocess", "asyncio.subprocess", "pty", "multiprocessing"}
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "agent").rglob("*.py")
        for name in imported(ast.parse(path.read_text()))
        if name in starting
    }
    assert modules == {"agent/commands/runner.py"}
    calls = re.compile(r"os\.(system|popen|fork|exec|spawn|posix_spawn)")
    assert [path for path in (ROOT / "agent").rglob("*.py") if calls.search(path.read_text())] == []


def test_the_agent_is_written_in_the_oldest_python_that_it_may_meet() -> None:
    for path in machine_modules():
        ast.parse(path.read_text(), str(path), feature_version=OLDEST_PYTHON)
