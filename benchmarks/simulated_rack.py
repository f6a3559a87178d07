"""A rack of simulated machines against a real ``serve``: how fast, and at what cost.

    make bench NAME=simulated_rack                                # 50 machines
    make bench NAME=simulated_rack ARGUMENTS="--machines 200"

Machines, agents and server are those of ``rackwright lab simulate``; server and machines share
the processors. Three phases: all machines are switched on by magic packets and inspected, and the
golden one is captured; all are cloned; nothing happens for a while. It prints a table and writes
benchmarks/out/simulated_rack.json. Figures are of one run.
"""

import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

import click
from git import Actor, Repo
from rich.console import Console
from rich.table import Table

from providers.lab.simulate.fleet_documents import fleet_documents
from providers.lab.simulate.rack import SimulatedRack
from reconciler.server.state_lock import is_served

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks/out/simulated_rack.json"
MIB = 1 << 20
IDLE_SECONDS = 60
_LOOK_SECONDS = 1.0
_LONGEST = 3600.0
_TICKS = os.sysconf("SC_CLK_TCK")
_ENDED = (
    "SELECT o.machine, l.at FROM ledger l JOIN operation o USING (op_id) JOIN current_operation c \
USING (op_id) WHERE l.state = 'verified' AND c.kind = ?"
)
_BEGAN = "SELECT min(l.at) FROM ledger l JOIN current_operation c USING (op_id) \
WHERE l.state = 'approved' AND c.kind = ?"
_REPORTS = "SELECT machine, at FROM machine_report WHERE environment = 'installed'"


@dataclass
class Site:
    """A rack, its server and its state."""

    folder: Path
    rack: SimulatedRack
    server: subprocess.Popen[bytes]
    environment: dict[str, str]
    reports: dict[str, datetime] = field(default_factory=dict)
    """When each installed agent reported first."""

    def ask(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        """Return rows of the state database; none while there is no database."""
        path = self.folder / "state/rackwright.db"
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as base:
                return base.execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            return []

    @contextmanager
    def applying(self, agreement: str) -> Iterator[None]:
        """Have the plan carried out during the block, and wait for its end."""
        with (self.folder / "apply.log").open("ab") as log:
            applied = subprocess.Popen(
                [sys.executable, "-m", "reconciler.cli", "apply", agreement],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield
            self.until(lambda: applied.poll() is not None)
        finally:
            applied.kill()

    def verified(self, kind: str) -> dict[str, datetime]:
        """Return when the work of each machine was verified."""
        return {name: datetime.fromisoformat(at) for name, at in self.ask(_ENDED, kind)}

    def began(self, kind: str) -> datetime:
        """Return when the first work of a kind was approved."""
        return datetime.fromisoformat(self.ask(_BEGAN, kind)[0][0])

    def until(self, done: Callable[[], bool]) -> None:
        """Look once a second; note installed agents' first reports meanwhile."""
        end = perf_counter() + _LONGEST
        while not done():
            if perf_counter() > end or self.server.poll() is not None:
                raise SystemExit(f"it did not come to an end: see {self.folder}")
            for name, at in self.ask(_REPORTS):
                self.reports.setdefault(name, datetime.fromisoformat(at))
            sleep(_LOOK_SECONDS)

    def cpu(self, pid: int) -> float:
        """Return the processor seconds of a process and its ended children (proc(5), stat)."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    def memory(self, pid: int, what: str = "VmRSS") -> float:
        """Return MiB of a process (proc(5), status)."""
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


@contextmanager
def site(folder: Path, machines: int, disk_size: int, at_once: int) -> Iterator[Site]:
    """Start machines and server."""
    with SimulatedRack(folder / "rack", machines, disk_size=disk_size) as rack:
        fleet = folder / "fleet"
        fleet.mkdir()
        for name, text in fleet_documents(rack.settings, at_once=at_once).items():
            (fleet / name).write_text(text, "utf-8")
        author = Actor("Benchmark", "benchmark@example.org")
        with Repo.init(fleet, initial_branch="main") as repository:
            repository.git.add(all=True)
            repository.index.commit("The rack", author=author, committer=author)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RACKWRIGHT_REPO": str(fleet),
            "RACKWRIGHT_STATE": str(folder / "state"),
            "RACKWRIGHT_BOOT_FILES": str(rack.boot_files),
        }
        with (folder / "serve.log").open("wb") as log:
            command = rack.inside([sys.executable, "-m", "reconciler.cli", "serve"])
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                yield Site(folder, rack, server, environment)
            finally:
                server.terminate()
                server.wait(60)


def measure(place: Site, machines: int) -> dict[str, float]:
    """Return the figures."""
    pid, own = place.server.pid, place.rack.process
    place.until(lambda: is_served(place.folder / "state"))
    with place.applying("--yes"):
        place.until(lambda: len(place.verified("inspect")) == machines)
        place.until(lambda: len(place.verified("capture")) == 1)
    looked = (max(place.verified("inspect").values()) - place.began("inspect")).total_seconds()
    cpu, others = place.cpu(pid), place.cpu(own)
    figures = {
        "inspected: machines a minute": 60 * machines / looked,
        "inspected: processor seconds of the server for a machine": cpu / machines,
        "inspected: processor seconds of the machines for a machine": others / machines,
    }
    click.echo(json.dumps(figures), err=True)
    with place.applying(f"--yes={machines}"):
        place.until(lambda: len(place.verified("restore")) == machines)
    ends = place.verified("restore")
    took = (max(ends.values()) - place.began("restore")).total_seconds()
    lags = sorted(
        (ends[name] - at).total_seconds() * 1000
        for name, at in place.reports.items()
        if name in ends
    )
    figures |= {
        "cloned: machines a minute": 60 * machines / took,
        "cloned: processor seconds of the server for a machine": (place.cpu(pid) - cpu) / machines,
        "cloned: processor seconds of the machines for a machine": (place.cpu(own) - others)
        / machines,
        "report to decision: median, ms": median(lags),
        "report to decision: 99 %, ms": lags[int(len(lags) * 0.99)],
        "server: most memory, MiB": place.memory(pid, "VmHWM"),
    }
    click.echo(json.dumps(figures), err=True)
    cpu, others = place.cpu(pid), place.cpu(own)
    sleep(IDLE_SECONDS)
    idle = 1000 / IDLE_SECONDS / machines
    return figures | {
        "idle: processor ms of the server for a machine in a second": (place.cpu(pid) - cpu) * idle,
        "idle: processor ms of the machines for a machine in a second": (place.cpu(own) - others)
        * idle,
        "server: memory at the end, MiB": place.memory(pid),
        "machines: memory of their process for a machine, MiB": place.memory(own) / machines,
    }


@click.command()
@click.option("--machines", default=50, show_default=True)
@click.option("--at-once", default=20, show_default=True, help="Budget of destructive work.")
@click.option("--disk-mib", default=16, show_default=True, help="Disks; half of it is filled.")
@click.option("--dir", "place", default=None, help="Where disks go; a folder in TMPDIR if none.")
def main(machines: int, at_once: int, disk_mib: int, place: str | None) -> None:
    """Measure, print the table and write benchmarks/out/simulated_rack.json."""
    before = os.getloadavg()
    with (
        TemporaryDirectory(dir=place) as folder,
        site(Path(folder), machines, disk_mib * MIB, at_once) as running,
    ):
        figures = measure(running, machines)
    settings = {"machines": machines, "atOnce": at_once, "diskMiB": disk_mib}
    document = {
        "machine": {"processors": os.cpu_count(), "python": platform.python_version()},
        "loadAverage": {"before": before, "after": os.getloadavg()},
        **settings,
        "figures": figures,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(document, indent=2) + "\n")
    table = Table(title=f"{machines:,} machines, {at_once} at once, disks of {disk_mib} MiB")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for what, figure in figures.items():
        table.add_row(what, f"{figure:,.2f}")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    main()
