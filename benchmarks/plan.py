"""Planning a large fleet, as whole processes, beside an earlier build and ansible-inventory.

    make bench NAME=plan              # everything, about a quarter of an hour
    make bench NAME=plan ARGUMENTS="--machines 4000 --runs 2"

prints a table and writes benchmarks/out/plan.json. Fleets and the peer are kept in
build/benchmarks. Every figure is the median of its runs, with the smallest and the largest;
the two builds run in turn, so that both meet the same minutes of the host.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
from generated_fleet import Shape, touch_machine, write_fleet, write_inventory
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build/benchmarks"
EARLIER = "7726efd"
"""The build to compare with: it read documents by regular expressions and remembered plans."""
PEER = "ansible-core==2.19.14"
SHAPES: tuple[Shape, ...] = ("file per rack", "file per machine")
GROWTH = (1_000, 10_000, 40_000, 100_000)
_FIGURES = ("seconds", "processorSeconds", "mebibytes")
_EVERY = 0.05
_WHOLE = 100
"""From here on, figures are shown without decimals."""


@dataclass(frozen=True)
class Run:
    """One process from its start to its end; memory is that of all its processes together."""

    seconds: float
    processor_seconds: float
    mebibytes: float


@dataclass(frozen=True)
class Build:
    """A version of the program, run from its sources by this Python."""

    name: str
    root: Path

    def run(self, *arguments: str | Path, allowed: Sequence[int] = range(6)) -> Run:
        """Run a command; SystemExit when it fails."""
        command = [sys.executable, "-P", "-m", "reconciler.cli", *arguments]
        return run(command, allowed, {**os.environ, "PYTHONPATH": str(self.root)})


def run(
    command: Sequence[str | Path],
    allowed: Sequence[int] = (0,),
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a command and return what it took; SystemExit when it fails."""
    start = perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
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

    def __init__(self, builds: Sequence[Build], runs: int) -> None:
        self._builds = builds
        self._runs = runs
        self.rows: list[dict[str, Any]] = []

    def measure(
        self,
        what: str,
        target: str,
        one: Callable[[Build], Run],
        *,
        before: Callable[[], None] = bool,
        before_each: Callable[[Build], None] = bool,
    ) -> None:
        """Run ``one`` several times with all builds in turn, and note what each took."""
        found: dict[str, list[Run]] = {build.name: [] for build in self._builds}
        for _ in range(self._runs):
            before()
            for build in self._builds:
                before_each(build)
                found[build.name].append(one(build))
        row: dict[str, Any] = {"what": what, "target": target}
        row |= {name: _figures(runs) for name, runs in found.items()}
        if len(found) > 1:
            ours, theirs = found.values()
            pairs = zip(ours, theirs, strict=True)
            row["ratio"] = _spread([one.seconds / other.seconds for one, other in pairs])
        self._add(row)

    def measure_peer(self, command: Sequence[str | Path], ours: Callable[[], Run]) -> None:
        """Note what the peer took, and how many times longer than a cold plan, run by run."""
        pairs = [(run(command), ours()) for _ in range(self._runs)]
        row = {
            "what": "ansible-inventory --list",
            "target": "",
            "peer": _figures([theirs for theirs, _ in pairs]),
        }
        self._add(row)
        ratios = [theirs.seconds / our.seconds for theirs, our in pairs]
        self._add({"what": "peer : cold plan", "target": "at least 10", "ratio": _spread(ratios)})

    def _add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        click.echo(json.dumps(row), err=True)


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "seconds": _spread([each.seconds for each in runs]),
        "processorSeconds": _spread([each.processor_seconds for each in runs]),
        "mebibytes": _spread([each.mebibytes for each in runs]),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


@click.command()
@click.option("--machines", default=40_000, show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--growth/--no-growth", default=True, help="Also 1k, 10k and 100k machines.")
@click.option("--peer/--no-peer", default=True, help="Also ansible-inventory.")
@click.option("--earlier", default=EARLIER, show_default=True, help="A commit; empty for none.")
def main(machines: int, runs: int, *, growth: bool, peer: bool, earlier: str) -> None:
    """Measure, print the table and write benchmarks/out/plan.json."""
    now = Build("now", ROOT)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        builds = [now]
        if earlier:
            builds.append(stack.enter_context(_checked_out(earlier, Path(folder) / "earlier")))
        for build in builds:
            _have_bytecode(build)
        bench = Bench(builds, runs)
        for shape in SHAPES:
            _plans(bench, machines, shape)
        if growth:
            for size in GROWTH:
                fleet = _fleet(size, "file per rack")
                what = f"cold plan of {size:,} machines"
                bench.measure(what, "", _plan(fleet), before_each=_cold(fleet))
        _small_commands(bench, machines)
        if peer:
            _peer(bench, machines, now)
    _report(bench, machines, runs)


@contextmanager
def _checked_out(commit: str, folder: Path) -> Iterator[Build]:
    git = ["git", "-C", ROOT, "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
    try:
        yield Build(commit, folder)
    finally:
        subprocess.run([*git, "remove", "--force", folder], check=True)


def _have_bytecode(build: Build) -> None:
    """Give modules what an installed package has: else each run would compile them."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for package in ("agent", "providers", "reconciler", "specs"):
        compileall.compile_dir(build.root / package, quiet=1)


def _plans(bench: Bench, machines: int, shape: Shape) -> None:
    fleet = _fleet(machines, shape)
    plan, cold = _plan(fleet), _cold(fleet)
    bench.measure(f"cold plan, {shape}", "2 times", plan, before_each=cold)
    bench.measure(f"plan again, {shape}", "1.2 s", plan)
    bench.measure(
        f"plan after a commit to one machine, {shape}",
        "1.2 s",
        plan,
        # Never one that was committed before: that fleet would be kept already.
        before=lambda: touch_machine(fleet, machines // 2, f"role-{token_hex(4)}"),
    )


def _small_commands(bench: Bench, machines: int) -> None:
    fleet = _fleet(machines, "file per machine")
    rack = machines // 2 // 40
    file = fleet / f"rack{rack:05}/node-{machines // 2:06}.yaml"
    lab = ROOT / "examples/lab/fleet"

    def validate(build: Build) -> Run:
        return build.run("validate", "--repo", fleet, "--state", _state(fleet, build), file)

    def status(build: Build) -> Run:
        return build.run("status", "--repo", lab, "--state", _state(fleet, build) / "lab")

    committed = file.read_text()

    def edit() -> None:
        file.write_text(committed.replace("role: ", f"role: edited-{token_hex(4)}-"))

    bench.measure("validate one edited file of it", "0.4 s", validate, before=edit)
    file.write_text(committed)
    bench.measure("validate one file as it was committed", "0.4 s", validate)
    bench.measure("--help", "0.15 s", lambda build: build.run("--help"))
    bench.measure("status of a small fleet", "", status)


def _peer(bench: Bench, machines: int, build: Build) -> None:
    fleet = _fleet(machines, "file per rack")
    inventory = WORK / f"inventory-{machines}.yaml"
    write_inventory(inventory, machines)
    plan, cold = _plan(fleet), _cold(fleet)

    def ours() -> Run:
        cold(build)
        return plan(build)

    bench.measure_peer([_ansible(), "--list", "--inventory", inventory], ours)


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


def _state(fleet: Path, build: Build) -> Path:
    return fleet.with_name(f"{fleet.name}-state-{build.name}")


def _plan(fleet: Path) -> Callable[[Build], Run]:
    return lambda build: build.run("plan", "--repo", fleet, "--state", _state(fleet, build))


def _cold(fleet: Path) -> Callable[[Build], None]:
    return lambda build: shutil.rmtree(_state(fleet, build), ignore_errors=True)


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
    for column in ("what", "which", "seconds", "processor seconds", "MiB", "target"):
        table.add_column(column, justify="left" if column in {"what", "target"} else "right")
    for row in bench.rows:
        for name in ("now", EARLIER, "peer"):
            figures = row.get(name)
            if figures is not None:
                shown = [_text(figures[key]) for key in _FIGURES]
                table.add_row(str(row["what"]), name, *shown, str(row["target"]))
        if "ratio" in row:
            table.add_row(str(row["what"]), "ratio", _text(row["ratio"]), "", "", "")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _text(spread: Mapping[str, float]) -> str:
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
