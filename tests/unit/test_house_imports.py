"""Imports point one way, and what runs on machines stays light."""

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What an installed system's Python has, and the four pure packages that are sent along.
ON_EVERY_MACHINE = sys.stdlib_module_names | {"agent", "attr", "attrs", "cattrs", "urllib3"}
PATHS = [str(ROOT), sysconfig.get_path("purelib")]
OLDEST_PYTHON = (3, 9)
UNIX_ONLY = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}


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
    assert modules == {
        "agent/commands/child.py",  # of the launcher, which needs the standard library alone
        "agent/commands/runner.py",
        "agent/commands/supervised.py",  # which starts the supervisor,
        "agent/commands/supervisor.py",  # which starts the program
        "agent/commands/windows/supervisor.py",  # likewise
    }
    calls = re.compile(r"os\.(system|popen|fork|exec|spawn|posix_spawn)")
    modules = (ROOT / "agent").rglob("*.py")
    assert [path.name for path in modules if calls.search(path.read_text())] == ["child.py"]


def test_the_agent_can_be_loaded_on_windows() -> None:
    loaded = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in machine_modules()
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for name in imported(statement)
        if name in UNIX_ONLY
    }
    assert loaded == {"agent/commands/supervisor.py: fcntl"}  # a program of its own, on Linux


def test_the_agent_loads_nothing_that_the_ram_systems_python_lacks() -> None:
    recipe = tomllib.loads((ROOT / "deploy-os/recipe.toml").read_text("utf-8"))
    found = (re.match(r"!usr/lib/python3\.11/(\w+)(/\*|\.py)$", each) for each in recipe["files"])
    lacking = {each[1] for each in found if each}
    assert "zoneinfo" in lacking
    program = "import sys, agent.main; print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {PATHS}; {program}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert lacking & set(done.stdout.split()) == set()


def test_the_agent_is_written_in_the_oldest_python_that_it_may_meet() -> None:
    for path in machine_modules():
        ast.parse(path.read_text(), str(path), feature_version=OLDEST_PYTHON)
