"""How long ``rackwright status`` takes on a large fleet that has converged.

    .venv/bin/python benchmarks/status.py [MACHINES]

Each command runs in a process of its own, the best of three; the first run compiles the
fleet, which later ones find in the cache.
"""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from generated_fleet import groups_of, write_fleet
from generated_state import fill

from reconciler.app.project import Project
from reconciler.state.database import open_database

ROUNDS = 3


def main(count: int) -> None:
    """Print seconds and lines of the command with several filters."""
    with TemporaryDirectory() as folder:
        repository, state = Path(folder) / "fleet", Path(folder) / "state"
        write_fleet(repository, count, "file per rack")
        fleet = Project(str(repository), "HEAD", state).fleet
        database = open_database(state / "rackwright.db")
        fill(database, fleet, datetime.now(UTC))
        database.close()
        arguments = ("--repo", str(repository), "--state", str(state))
        group = groups_of(count)[0]
        commands: list[tuple[str, ...]] = [
            (),
            ("--full",),
            ("--format", "json"),
            ("--condition", "Stalled"),
            ("--group", group),
            ("--select", "name=node-00001*"),
            ("--search", "node-000007"),
        ]
        for options in commands:
            best, lines = _timed(["status", *options, *arguments])
            print(f"status {' '.join(options):30} {best:6.2f} s, {lines} lines", flush=True)


def _timed(arguments: list[str]) -> tuple[float, int]:
    best, lines = float("inf"), 0
    for _ in range(ROUNDS):
        began = perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "reconciler.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        best = min(best, perf_counter() - began)
        if done.returncode not in {0, 1} or "error" in done.stderr:
            sys.exit(done.stderr)
        lines = done.stdout.count("\n")
    return best, lines


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
