"""The control plane with a large fleet that was observed: how fast it answers, what it costs.

    make bench NAME=server            # as root, some minutes
    make bench NAME=server ARGUMENTS="--machines 2000 --rounds 1"

runs the whole service, with its listeners, in a network namespace of its own and on the state
of ``generated_state``; nothing but power and firmware is missing. It prints a table and writes
benchmarks/out/server.json. A round is 100 boot requests, ten idle seconds and 33 reports;
figures are the median of them all, with the smallest and the largest. The commit that brings
work is taken once. Figures of the earlier build were measured before, not in this run.

Without --unattended the loop has nothing to decide on a machine that has no approved work;
with it, it plans every machine at the start and at each commit, which takes minutes.
"""

import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import click
import structlog
from attrs import evolve
from generated_state import IMAGE, fill, generated, generated_fleet
from rich.console import Console
from rich.table import Table

from providers.netboot.decision import BootRequest
from reconciler.loop.approval import approve
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import plan
from reconciler.server.boots import BootDecisions
from reconciler.server.service import Service, ServiceSettings
from reconciler.state.database import Database, open_database
from reconciler.state.ledger import Ledger
from reconciler.state.observed import ObservedImage
from reconciler.state.operation_states import OperationState
from reconciler.state.world import observe
from specs.diagnostics.position import Position
from specs.fleet import Budget, CompiledFleet, CompiledMachine, CompiledNetwork

ROOT = Path(__file__).parents[1]
OUT = ROOT / "benchmarks/out/server.json"
EARLIER = "7726efd"
SERVER = IPv4Address("10.255.0.1")
BOOTS, IDLE_SECONDS, REPORTS = 100, 10, 33
"""In each round."""
WORK = 5_000
"""Machines to which the commit brings work; an eighth of the fleet if that is less."""
_EVERY = 0.005
_LONGEST = 900.0
_WHOLE = 100
_INSIDE = "RACKWRIGHT_BENCHMARK_NAMESPACE"


class MeasuredService(Service):
    """The service with an image that is not in its store, and with the loop's turns noted."""

    def __init__(
        self,
        settings: ServiceSettings,
        fleet: CompiledFleet,
        database: Database,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(settings, fleet, database, clock)
        self.rested = asyncio.Event()
        """Set when nothing was due."""
        self.decided = asyncio.Event()
        self.awaited = ""
        """The machine whose next decision sets ``decided``."""
        self._note(self.reconciler)

    def images(self) -> dict[str, ObservedImage]:
        """Return the one image that the fleet restores."""
        return {IMAGE.name: IMAGE}

    def _note(self, reconciler: Reconciler) -> None:
        step, reconcile = reconciler.step, reconciler.reconcile

        def noted_step() -> bool:
            went_on = step()
            if not went_on:
                self.rested.set()
            return went_on

        def noted_reconcile(key: str) -> None:
            reconcile(key)
            if key == self.awaited:
                self.decided.set()

        reconciler.step = noted_step  # type: ignore[method-assign]
        reconciler.reconcile = noted_reconcile  # type: ignore[method-assign]

    async def rest(self) -> None:
        """Wait until nothing is due."""
        self.rested.clear()
        self.asked()
        await asyncio.wait_for(self.rested.wait(), _LONGEST)


@dataclass
class Bench:
    """A running service, and what was found out about it."""

    service: MeasuredService
    database: Database
    decisions: BootDecisions
    machines: Sequence[CompiledMachine]
    rows: list[dict[str, Any]]

    def add(self, what: str, unit: str, values: Sequence[float], target: str, earlier: str) -> None:
        """Note a figure."""
        row = {
            "what": what,
            "unit": unit,
            "now": {"median": median(values), "least": min(values), "most": max(values)},
            "target": target,
            "earlier": earlier,
        }
        self.rows.append(row)
        click.echo(json.dumps(row), err=True)

    def boot(self, machine: CompiledMachine) -> float:
        """Ask what a machine boots; return the milliseconds."""
        request = BootRequest("dhcp", machine.macs[0], machine.uuid, 7, "0.0.0.0", "DISCOVER")  # noqa: S104
        began = perf_counter()
        self.decisions.decide(request)
        return (perf_counter() - began) * 1000

    def spread_out(self, count: int, shift: int) -> list[CompiledMachine]:
        """Return so many machines from all over the fleet, others for each shift."""
        stride = max(1, len(self.machines) // count)
        return [self.machines[(n * stride + shift) % len(self.machines)] for n in range(count)]

    async def boots(self, shift: int) -> list[float]:
        """Return the milliseconds of each boot decision, while the loop runs."""
        found = []
        for machine in self.spread_out(BOOTS, shift):
            found.append(self.boot(machine))
            await asyncio.sleep(_EVERY)
        return found

    async def idle(self) -> list[float]:
        """Return the processor milliseconds of each of some seconds without news."""
        found = []
        for _ in range(IDLE_SECONDS):
            began, cpu = perf_counter(), process_time()
            await asyncio.sleep(1)
            found.append((process_time() - cpu) / (perf_counter() - began) * 1000)
        return found

    async def reports(self, machines: Sequence[CompiledMachine], shift: int) -> list[float]:
        """Return the milliseconds from each report to the loop's decision on its machine."""
        service = self.service
        found = []
        for machine in machines:
            report = generated(machine).installed
            system = evolve(report.installed, kernel=f"6.1.0-{100 + shift}")
            service.awaited = machine.name
            service.decided.clear()
            began = perf_counter()
            service.plane.machines.record_report(
                machine, evolve(report, installed=system), datetime.now(UTC)
            )
            service.reconciler.ask(machine.name)
            await asyncio.wait_for(service.decided.wait(), _LONGEST)
            found.append((perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
        return found

    async def commit(self, work: int) -> None:
        """Let a revision bring work to some machines, and measure until the queue is empty."""
        service = self.service
        fleet = _with_work(service.reconciler.fleet, work)
        began = perf_counter()
        approved = _approve(self.database, fleet)
        click.echo(f"{approved} approved in {perf_counter() - began:.1f} s", err=True)
        answers: list[tuple[float, float]] = []
        prober = asyncio.create_task(self._probe(answers))
        await asyncio.sleep(0.1)
        began = perf_counter()
        await service.use(fleet)
        used = perf_counter() - began
        service.rested.clear()
        try:
            await asyncio.wait_for(service.rested.wait(), _LONGEST)
            told = f"{len(self.armed())} of {approved} armed"
        except TimeoutError:
            told = f"not at rest: {len(self.armed())} of {approved} armed"
        total = perf_counter() - began
        prober.cancel()
        with suppress(asyncio.CancelledError):
            await prober
        times = [at for at, _ in answers]
        gaps = [(later - earlier - _EVERY) * 1000 for earlier, later in pairwise(times)]
        what = f"commit with work for {approved:,}"
        self.add(f"{what}: until it is taken", "s", [used], "", "")
        self.add(f"{what}: until rest ({told})", "s", [total], "", "")
        self.add(f"{what}: loop does not answer", "ms", gaps, "at most 100", "")
        self.add(f"{what}: boot decision", "ms", [took for _, took in answers], "under 5", "")

    def armed(self) -> list[str]:
        """Return the names of machines with armed work."""
        current = self.service.reconciler.operations.current([OperationState.ARMED])
        return [each.operation.machine for each in current]

    async def _probe(self, answers: list[tuple[float, float]]) -> None:
        """Ask for a boot decision all the time; note when it was answered and how long it took."""
        idle = self.machines[len(self.machines) // 2 :]
        for number in range(10_000_000):
            took = self.boot(idle[number * 7 % len(idle)])
            answers.append((perf_counter(), took))
            await asyncio.sleep(_EVERY)

    async def armed_machines(self) -> None:
        """Measure boot decisions of machines that are granted one, and their reports."""
        fleet = self.service.reconciler.fleet
        found = []
        for name in self.armed()[: 3 * BOOTS]:
            found.append(self.boot(fleet.machines[name]))
            await asyncio.sleep(_EVERY)
        if found:
            self.add("boot decision, machine with armed work", "ms", found, "under 5", "")
            machines = [fleet.machines[name] for name in self.armed()[-REPORTS:]]
            found = await self.reports(machines, _WHOLE)
            self.add("report to decision, with armed work", "ms", found, "under 10", "")


def _with_work(fleet: CompiledFleet, count: int) -> CompiledFleet:
    """Return the next revision: the first machines shall be restored again."""
    machines = {
        name: replace(machine, assignments=(replace(machine.assignments[0], run="2026-12"),))
        if index < count
        else machine
        for index, (name, machine) in enumerate(fleet.machines.items())
    }
    return replace(fleet, revision="beef", machines=machines)


def _approve(database: Database, fleet: CompiledFleet) -> int:
    now = datetime.now(UTC)
    seen = observe(database, tuple(fleet.machines.values()), {IMAGE.name: IMAGE}, now)
    made = plan(fleet, seen, now)
    approve(Ledger(database), made, made.to_apply, "ada", now)
    return len(made.to_apply)


def measured_fleet(machines: int, work: int) -> CompiledFleet:
    """Return the fleet on a network of this host, with budgets that let all work begin."""
    network = CompiledNetwork(
        name="rack",
        subnet=IPv4Network("10.0.0.0/8"),
        gateway=SERVER,
        nameservers=(SERVER,),
        domain="rack.example",
        dhcp_mode="proxy",
        dhcp_range=None,
        lease_seconds=3600,
        position=Position("net.yaml", 1, 1),
    )
    fleet = generated_fleet(machines)
    budgets = (
        Budget("fleet", "", "work", work),
        Budget("fleet", "", "destructive", work, work),
    )
    settings = fleet.settings._replace(budgets=budgets)
    return replace(fleet, settings=settings, networks={network.name: network})


async def _measure(
    machines: int, rounds: int, folder: Path, *, unattended: bool
) -> list[dict[str, Any]]:
    work = min(WORK, machines // 8)
    fleet = measured_fleet(machines, work)
    database = open_database(folder / "rackwright.db")
    fill(database, fleet, datetime.now(UTC))
    (folder / "boot").mkdir()
    settings = ServiceSettings(folder, folder / "boot", unattended=unattended)
    began = perf_counter()
    service = MeasuredService(settings, fleet, database, lambda: datetime.now(UTC))
    async with service:
        decisions = BootDecisions(service.plane, service.reconciler, lambda: datetime.now(UTC))
        bench = Bench(service, database, decisions, tuple(fleet.machines.values()), [])
        bench.add(
            "start, before its first look at a machine", "s", [perf_counter() - began], "", ""
        )
        await service.rest()
        bench.add("start, the loop at rest", "s", [perf_counter() - began], "", "")
        bench.add("memory", "MiB", [resident_mib()], "", "")
        boots, idle, reports = [], [], []
        for number in range(rounds):
            boots += await bench.boots(number)
            await service.rest()
            idle += await bench.idle()
            reports += await bench.reports(bench.spread_out(REPORTS, number), number)
            await service.rest()
        bench.add("boot decision, machine without work", "ms", boots, "under 5", "345 ms")
        bench.add("processor in an idle second", "ms", idle, "100 times less", "")
        bench.add("report to the loop's decision", "ms", reports, "under 10", "")
        await bench.commit(work)
        await bench.armed_machines()
        bench.add("memory at the end", "MiB", [resident_mib()], "", "")
    database.close()
    return bench.rows


def resident_mib() -> float:
    """Return the resident memory of this process in MiB (proc(5), status: VmRSS)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def enter_own_network() -> None:
    """Run this script anew in a network namespace of its own, and give that a network."""
    if os.geteuid() != 0:
        raise SystemExit("It makes a network namespace: run it as root")
    if _INSIDE not in os.environ:
        command = ["unshare", "--net", sys.executable, *sys.argv]
        environment = {**os.environ, _INSIDE: "1"}
        raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)
    for arguments in (
        ("link", "add", "bench0", "type", "veth", "peer", "bench1"),
        ("link", "set", "bench1", "up"),
        ("address", "add", f"{SERVER}/8", "dev", "bench0"),
        ("link", "set", "bench0", "up"),
    ):
        subprocess.run(["ip", *arguments], check=True)


@click.command()
@click.option("--machines", default=40_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--unattended", is_flag=True, help="The loop also plans every machine.")
def main(machines: int, rounds: int, *, unattended: bool) -> None:
    """Measure, print the table and write benchmarks/out/server.json."""
    enter_own_network()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    before = os.getloadavg()
    with TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(machines, rounds, Path(folder), unattended=unattended))
    _report(rows, {"machines": machines, "rounds": rounds, "unattended": unattended}, before)


def _report(
    rows: Sequence[Mapping[str, Any]], settings: Mapping[str, int], before: tuple[float, ...]
) -> None:
    document = {
        "machine": {"processors": os.cpu_count(), "python": platform.python_version()},
        "loadAverage": {"before": before, "after": os.getloadavg()},
        **settings,
        "figures": rows,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(document, indent=2) + "\n")
    mode = ", unattended" if settings["unattended"] else ""
    title = f"{settings['machines']:,} machines{mode}, {settings['rounds']} rounds"
    table = Table(title=f"{title}: median (least to most)")
    for column in ("what", "now", "wanted", f"{EARLIER}, measured earlier"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        table.add_row(row["what"], _text(row["now"], row["unit"]), row["target"], row["earlier"])
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _text(spread: Mapping[str, float], unit: str) -> str:
    low, middle, high = (
        f"{spread[key]:.{0 if spread[key] >= _WHOLE else 2}f}"
        for key in ("least", "median", "most")
    )
    return f"{middle} {unit}" if low == high else f"{middle} ({low} to {high}) {unit}"


if __name__ == "__main__":
    main()
