"""``rackwright lab simulate``: many machines without QEMU and without root."""

import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import join, quote

import click
from git import Actor, Repo

from agent.whole_file import write_atomically
from providers.lab.simulate.disk import LEAST_SIZE, MIB
from providers.lab.simulate.faults import KINDS, Faults
from providers.lab.simulate.fleet_documents import fleet_documents
from providers.lab.simulate.machine_list import MOST_MACHINES, machines_of
from providers.lab.simulate.rack import DISK_SIZE, SimulatedRack
from reconciler.errors import ReconcilerError
from specs.types.invalid_value import InvalidValue
from specs.types.quantities import ByteSize, Duration

_LOOK_SECONDS = 1.0
_END_SECONDS = 30.0


class _Size(click.ParamType[int]):
    """A size in whole MiB, kept in bytes."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the bytes."""
        if isinstance(value, int):
            return value
        try:
            size = ByteSize.parse(str(value)).bytes
        except InvalidValue as error:
            self.fail(str(error), param, ctx)
        if size < LEAST_SIZE or size % MIB:
            self.fail(f"{value!r}: write whole MiB, at least {LEAST_SIZE // MIB}MiB", param, ctx)
        return size


class _Fault(click.ParamType[tuple[str, Faults]]):
    """The name of a machine, or a pattern, and what it does wrong."""

    name = "fault"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Faults]:
        """Return the pattern and the faults."""
        if isinstance(value, tuple):
            return value
        machine, _, said = str(value).partition("=")
        word, colon, time = said.partition(":")
        kind = KINDS.get(word)
        if not machine or kind is None:
            self.fail(f"{value!r}: write NAME=KIND; the kinds are {', '.join(KINDS)}", param, ctx)
        if not colon:
            return machine, kind.faults
        if not kind.timed:
            timed = ", ".join(name for name, each in KINDS.items() if each.timed)
            self.fail(f"{value!r}: only these take a duration: {timed}", param, ctx)
        try:
            seconds = Duration.parse(time).seconds
        except InvalidValue as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        return machine, kind.lasting(seconds)


def faults_of(names: Iterable[str], asked: Iterable[tuple[str, Faults]]) -> Mapping[str, Faults]:
    """Return what goes wrong with which machine.

    click.BadParameter where a pattern means none of ``names``.
    """
    known = tuple(names)
    found: dict[str, Faults] = {}
    for pattern, faults in asked:
        meant = fnmatch.filter(known, pattern)
        if not meant:
            raise click.BadParameter(
                f"no machine is called {pattern!r}: they are {known[0]}, {known[1]} to {known[-1]}",
                param_hint="--fail",
            )
        for name in meant:
            found[name] = found.get(name, Faults()).with_faults_of(faults)
    return found


@click.command()
@click.argument("count", type=click.IntRange(1, MOST_MACHINES))
@click.option(
    "--dir",
    "directory",
    default=Path(".cache/lab/simulate"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Its folder `run` is made anew each time.",
)
@click.option(
    "--image-size",
    "disk_size",
    default=f"{DISK_SIZE // MIB}MiB",
    show_default=True,
    type=_Size(),
    metavar="SIZE",
    help="Size of every disk, and so of the golden image, which fills half of it.",
)
@click.option("--on", is_flag=True, help="Switch all machines on at the start.")
@click.option("--group", default="simulated", show_default=True, help="Group of the machines.")
@click.option(
    "--at-once",
    default=20,
    show_default=True,
    type=click.IntRange(1),
    help="Budget: machines that may be written to at one moment.",
)
@click.option("--serve/--no-serve", default=True, help="Whether to start the server too.")
@click.option(
    "--fail",
    "asked_faults",
    multiple=True,
    type=_Fault(),
    metavar="NAME=KIND[:DURATION]",
    help="Let a machine, or all that a pattern means, go wrong. May be given again. Kinds: "
    f"{', '.join(KINDS)}.",
)
def simulate(  # noqa: PLR0913, PLR0917 - one argument per option
    count: int,
    directory: Path,
    disk_size: int,
    group: str,
    at_once: int,
    asked_faults: tuple[tuple[str, Faults], ...],
    *,
    on: bool,
    serve: bool,
) -> int:
    """Start COUNT simulated machines and a golden one, with a fleet and a server.

    They speak DHCP, TFTP, HTTP and TLS for real and run the real agent, each with a file
    for a disk; see docs/reference/simulated-machines.md. It needs no root, and goes on until
    Ctrl-C, which stops everything.

    \b
    Examples:
      rackwright lab simulate 50
      rackwright lab simulate 5 --fail sim-0002=power-in-restore --fail 'sim-*=late-report:30s'
    """  # noqa: D301 - \b keeps click from reflowing the list
    names = [each.name for each in machines_of(count, disk_size)]
    faults = faults_of(names, asked_faults)
    run = directory.absolute() / "run"
    shutil.rmtree(run, ignore_errors=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with SimulatedRack(run / "rack", count, disk_size=disk_size) as rack:
        _commit(run / "fleet", fleet_documents(rack.settings, group, at_once=at_once))
        variables = {
            "RACKWRIGHT_REPO": str(run / "fleet"),
            "RACKWRIGHT_STATE": str(run / "state"),
            "RACKWRIGHT_BOOT_FILES": str(rack.boot_files),
        }
        command = rack.inside([sys.executable, "-m", "reconciler.cli", "serve"])
        click.echo(how_to_go_on(variables, count, None if serve else command))
        with _serving(command, variables, run / "serve.log" if serve else None) as server:
            for name, each in faults.items():
                rack.set_faults(name, each)
            for settings in rack.settings if on else ():
                rack.power_on(settings.name)
            try:
                _watch(rack, server, run / "serve.log")
            except KeyboardInterrupt:
                click.echo("stopped; the files stay in " + str(run))
    return 0


def how_to_go_on(variables: dict[str, str], count: int, server: list[str] | None) -> str:
    """Return commands to paste in another terminal; ``server`` is one that is still to start."""
    lines = ["In another terminal:", ""]
    lines += [f"  export {name}={quote(value)}" for name, value in variables.items()]
    if server is not None:
        lines += [f"  {join(server)} &"]
    lines += [
        "  rackwright status",
        "  rackwright apply --yes",
        "  rackwright plan",
        f"  rackwright apply --yes={count}",
        "",
        "Ctrl-C stops the machines.",
    ]
    return "\n".join(lines)


def _commit(fleet: Path, documents: Mapping[str, str]) -> None:
    fleet.mkdir(parents=True)
    for name, text in documents.items():
        write_atomically(fleet / name, text.encode())
    author = Actor("Simulation", "simulation@example.org")
    with Repo.init(fleet, initial_branch="main") as repository:
        with repository.config_writer() as settings:
            settings.set_value("user", "name", author.name or "")
            settings.set_value("user", "email", author.email or "")
        repository.git.add(all=True)
        repository.index.commit("Simulated machines", author=author, committer=author)


@contextmanager
def _serving(
    command: list[str], variables: dict[str, str], log: Path | None
) -> Iterator[subprocess.Popen[bytes] | None]:
    """Run the server, if it has a log, for the block."""
    if log is None:
        yield None
        return
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _watch(rack: SimulatedRack, server: subprocess.Popen[bytes] | None, log: Path) -> None:
    """Say what the machines do whenever that changes. RW918 when the server ends."""
    shown = ""
    while True:
        stages = Counter(state.stage for state in rack.machines.values())
        line = " · ".join(f"{stage} {number}" for stage, number in sorted(stages.items()))
        if line != shown:
            click.echo(line)
            shown = line
        if server is not None and server.poll() is not None:
            raise ReconcilerError(
                "RW918",
                f"the server of the simulated rack ended with {server.returncode}",
                f"Read {log}",
            )
        time.sleep(_LOOK_SECONDS)
