"""Planning a large fleet, as whole processes, beside ansible-inventory in the same run.

    make bench NAME=plan              # everything, about a quarter of an hour
    make bench NAME=plan ARGUMENTS="--machines 4000 --runs 2"

prints a table and writes benchmarks/out/plan.json. Fleets and the peer are kept in
build/benchmarks. Every figure is the median of its runs, with the smallest and the largest.
"""

import compileall
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from statistics import median
from time import perf_counter
from typing import Any

import click
from generated_fleet import Shape, touch_machine, write_fleet, write_inventory
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build/benchmarks"
RACKWRIGHT = Path(sys.executable).with_name("rackwright")
PEER = "ansible-core==2.19.14"
SHAPES: tuple[Shape, ...] = ("file per rack", "file per machine")
GROWTH = (1_000, 10_000, 40_000, 100_000)
PEER_SECONDS = 45
"""What the peer took on the machine for which the targets were set."""
_EVERY = 0.05
_WHOLE = 100
"""From here on, figures are shown without decimals."""


@dataclass(frozen=True)
class Run:
    """One process from its start to its end; memory is that of all its processes together."""

    seconds: float
    processor_seconds: float
    mebibytes: float


def run(command: Sequence[str | Path], allowed: Sequence[int] = (0,)) -> Run:
    """Run a command and return what it took; SystemExit when it fails."""
    start = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    memory = _Memory(process.pid)
    memory.start()
    output = {"stderr": b""}
    reader = threading.Thread(target=lambda: output.update(stderr=process.stderr.read()))  # type: ignore[union-attr]
    reader.start()
    while process.stdout.read(1 << 16):  # type: ignore[union-attr]
        pass
    reader.join()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - start
    memory.stop()
    if os.waitstatus_to_exitcode(status) not in allowed:
        raise SystemExit(f"{' '.join(map(str, command))}: {output['stderr'].decode()[-2000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, memory.most / 2**20)


class _Memory(threading.Thread):
    """Watches the memory of a process and its children, each shared page counted once."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.most = 0

    def run(self) -> None:
        while not self._ended.wait(_EVERY):
            self.most = max(self.most, sum(map(_proportional, [self._pid, *self._children()])))

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _children(self) -> list[int]:
        try:
            text = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        except OSError:
            return []
        return [int(each) for each in text.split()]


def _proportional(pid: int) -> int:
    """Return a process's share of memory in bytes (proc(5), smaps_rollup: Pss)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


class Bench:
    """The figures of one run of the benchmark."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self.rows: list[dict[str, Any]] = []

    def measure(
        self, what: str, target: str, one: Callable[[], Run], before: Callable[[], None] = bool
    ) -> list[Run]:
        """Run ``one`` several times, each after ``before``, and note what it took."""
        found = []
        for _ in range(self._runs):
            before()
            found.append(one())
        self._note(what, target, found)
        return found

    def _note(self, what: str, target: str, found: list[Run]) -> None:
        self.rows.append(
            {
                "what": what,
                "target": target,
                "seconds": _spread([each.seconds for each in found]),
                "processorSeconds": _spread([each.processor_seconds for each in found]),
                "mebibytes": _spread([each.mebibytes for each in found]),
            }
        )
        click.echo(f"{what}: {median(each.seconds for each in found):.2f} s", err=True)

    def pair(self, what: str, target: str, ours: Callable[[], Run], theirs: list[Run]) -> None:
        """Note how many times longer the peer took, run by run, and what all took at its pace."""
        ratios = [their.seconds / ours().seconds for their in theirs]
        slowness = median(each.seconds for each in theirs) / PEER_SECONDS
        for row in self.rows:
            row["atThePeersPace"] = row["seconds"]["median"] / slowness
        self.rows.append({"what": what, "target": target, "ratio": _spread(ratios)})


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


@click.command()
@click.option("--machines", default=40_000, show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--growth/--no-growth", default=True, help="Also 1k, 10k and 100k machines.")
@click.option("--peer/--no-peer", default=True, help="Also ansible-inventory.")
def main(machines: int, runs: int, *, growth: bool, peer: bool) -> None:
    """Measure, print the table and write benchmarks/out/plan.json."""
    _have_bytecode()
    bench = Bench(runs)
    for shape in SHAPES:
        _plans(bench, machines, shape)
    if growth:
        for size in GROWTH:
            fleet = _fleet(size, "file per rack")
            bench.measure(f"cold plan of {size:,} machines", "", _plan(fleet), _cold(fleet))
    _small_commands(bench, machines)
    if peer:
        _peer(bench, machines)
    _report(bench, machines, runs)


def _have_bytecode() -> None:
    """Give our modules what an installed package has: else each run would compile them."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for package in ("agent", "providers", "reconciler", "specs"):
        compileall.compile_dir(ROOT / package, quiet=1)


def _plans(bench: Bench, machines: int, shape: Shape) -> None:
    fleet = _fleet(machines, shape)
    plan = _plan(fleet)
    bench.measure(f"cold plan, {shape}", "5 s, 800 MB", plan, _cold(fleet))
    bench.measure(f"plan again, {shape}", "1 s", plan)
    bench.measure(
        f"plan after a commit to one machine, {shape}",
        "0.6 s",
        plan,
        # Never one that was committed before: that fleet would be kept already.
        lambda: touch_machine(fleet, machines // 2, f"role-{token_hex(4)}"),
    )


def _small_commands(bench: Bench, machines: int) -> None:
    fleet = _fleet(machines, "file per machine")
    rack = machines // 2 // 40
    file = fleet / f"rack{rack:05}/node-{machines // 2:06}.yaml"
    state = fleet.with_name("small-state")
    lab = ROOT / "examples/lab/fleet"
    validate = [RACKWRIGHT, "validate", "--repo", fleet, "--state", _state(fleet), file]
    committed = file.read_text()
    file.write_text(committed.replace("role: ", "role: edited-"))
    bench.measure("validate one edited file of it", "0.15 s", lambda: run(validate))
    file.write_text(committed)
    bench.measure("validate one file as it was committed", "0.15 s", lambda: run(validate))
    bench.measure("--help", "0.3 s", lambda: run([RACKWRIGHT, "--help"]))
    status = [RACKWRIGHT, "status", "--repo", lab, "--state", state]
    run(status, (0, 1))
    bench.measure("status of a small fleet", "0.3 s", lambda: run(status, (0, 1)))


def _peer(bench: Bench, machines: int) -> None:
    fleet = _fleet(machines, "file per rack")
    inventory = WORK / f"inventory-{machines}.yaml"
    write_inventory(inventory, machines)
    command = [_ansible(), "--list", "--inventory", inventory]
    theirs = bench.measure("ansible-inventory --list", "", lambda: run(command))
    clear = _cold(fleet)

    def ours() -> Run:
        clear()
        return _plan(fleet)()

    bench.pair("ansible-inventory : cold plan", "at least 8", ours, theirs)


def _ansible() -> Path:
    program = WORK / "ansible/bin/ansible-inventory"
    if not program.exists():
        venv.create(WORK / "ansible", with_pip=True, clear=True)
        pip = WORK / "ansible/bin/pip"
        subprocess.run([pip, "install", "--quiet", PEER], check=True)
    return program


def _fleet(machines: int, shape: Shape) -> Path:
    folder = WORK / f"{shape.replace(' ', '-')}-{machines}"
    if not (folder / ".git").exists():
        click.echo(f"writing {folder.name} ...", err=True)
        write_fleet(folder, machines, shape)
    return folder


def _state(fleet: Path) -> Path:
    return fleet.with_name(f"{fleet.name}-state")


def _plan(fleet: Path) -> Callable[[], Run]:
    command = [RACKWRIGHT, "plan", "--repo", fleet, "--state", _state(fleet)]
    return lambda: run(command, range(6))


def _cold(fleet: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(_state(fleet), ignore_errors=True)


def _report(bench: Bench, machines: int, runs: int) -> None:
    document = {
        "machine": {
            "processors": os.cpu_count(),
            "model": _processor(),
            "python": platform.python_version(),
        },
        "machines": machines,
        "runs": runs,
        "figures": bench.rows,
    }
    out = ROOT / "benchmarks/out/plan.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(document, indent=2) + "\n")
    table = Table(title=f"{machines:,} machines, {runs} runs each: median (least to most)")
    pace = f"where the peer takes {PEER_SECONDS} s"
    for column in ("what", "seconds", "processor seconds", "MiB", pace, "target"):
        table.add_column(column, justify="left" if column in {"what", "target"} else "right")
    for row in bench.rows:
        shown = [_text(row.get(key)) for key in ("seconds", "processorSeconds", "mebibytes")]
        if "ratio" in row:
            shown = [f"{_text(row['ratio'])} times", "", ""]
        shown.append(f"{row['atThePeersPace']:.2f}" if "atThePeersPace" in row else "")
        table.add_row(str(row["what"]), *shown, str(row["target"]))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _text(spread: object) -> str:
    if not isinstance(spread, dict):
        return ""
    digits = 0 if spread["median"] >= _WHOLE else 2
    return (
        f"{spread['median']:.{digits}f} ({spread['least']:.{digits}f} to "
        f"{spread['most']:.{digits}f})"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    main()
