"""``rackwright lab``: the virtual rack."""

from collections.abc import Callable
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click
from rich import box
from rich.table import Table
from rich.text import Text

from providers.lab.client import RackClient
from providers.lab.console import follow
from providers.lab.namespace import become
from providers.lab.rack_file import load_rack
from providers.lab.status import RackStatus
from providers.lab.up import rack_up
from reconciler.cli.demo import demo
from reconciler.cli.options import FILE, FOLDER, folder_option, format_option
from reconciler.cli.simulate import simulate
from reconciler.views.age import duration
from reconciler.views.console import console
from reconciler.views.progress import build_progress
from reconciler.views.untrusted import for_terminal

P = ParamSpec("P")

DEFAULT_DIRECTORY = Path(".cache/lab/run/rack")


def _remember(context: click.Context, _: click.Parameter, directory: Path | None) -> None:
    """Let ``--dir`` stand before the subcommand or after it; the later one counts."""
    if directory is not None:
        context.obj = directory


def _in_directory(command: Callable[Concatenate[Path, P], int]) -> Callable[P, int]:
    """Give a subcommand ``--dir`` and the directory as its first argument."""
    option = click.option(
        "--dir",
        type=FOLDER,
        metavar="DIR",
        help="The rack's directory.",
        callback=_remember,
        expose_value=False,
        is_eager=True,
    )
    decorated: Callable[P, int] = option(click.pass_obj(command))
    return decorated


@click.group()
@click.option(
    "--dir",
    envvar="RACKWRIGHT_LAB",
    show_envvar=True,
    default=DEFAULT_DIRECTORY,
    show_default=True,
    type=FOLDER,
    metavar="DIR",
    help="The rack's directory: disks, consoles, control socket.",
    callback=_remember,
    expose_value=False,
)
def lab() -> None:
    """Run a virtual rack of QEMU machines in a network namespace of its own.

    Needs root, but for `simulate`, whose machines are simulated. Nothing of a rack outlives it
    but the files in its directory.
    """


lab.add_command(demo)
lab.add_command(simulate)


@lab.command()
@click.option(
    "--rack",
    "rack_file",
    default=Path("examples/lab/rack.yaml"),
    show_default=True,
    type=FILE,
    metavar="FILE",
    help="Which machines.",
)
@folder_option(
    "--cache", default=Path(".cache/lab/cache/golden"), text="Keeps prepared root file systems."
)
@click.option("--fresh", is_flag=True, help="Make all disks anew: what is on them is lost.")
@_in_directory
def up(directory: Path, rack_file: Path, cache: Path, *, fresh: bool) -> int:
    """Make the disks that are missing and start the rack, all machines off."""
    rack = load_rack(rack_file)
    with build_progress(console(), "rack") as progress:
        rack_up(rack, directory, cache, lambda phase: progress(phase, None), fresh=fresh)
    return 0


@lab.command()
@_in_directory
def down(directory: Path) -> int:
    """Stop all machines and take the rack away; disks and consoles stay."""
    click.echo("the rack is down" if RackClient(directory).down() else "no rack was up")
    return 0


@lab.command()
@format_option
@_in_directory
def status(directory: Path, output_format: str) -> int:
    """Show the machines and their power."""
    state = RackClient(directory).status()
    if output_format == "json":
        click.echo(dumps(asdict(state), indent=2))
    else:
        console().print(rack_table(state))
    return 0


@lab.command()
@click.argument("action", type=click.Choice(["on", "off", "reset"]))
@click.argument("machine")
@_in_directory
def power(directory: Path, action: str, machine: str) -> int:
    """Press a machine's buttons."""
    client = RackClient(directory)
    actions = {"on": client.power_on, "off": client.power_off, "reset": client.reset}
    actions[action](machine)
    return 0


@lab.command("console")
@click.argument("machine")
@_in_directory
def follow_console(directory: Path, machine: str) -> int:
    """Follow what a machine's serial console shows, over power cycles; end with Ctrl-C."""
    for output in follow(RackClient(directory).console_path(machine)):
        click.echo(output, nl=False)
    return 0


@lab.command()
@click.argument("machine")
@click.argument("file", type=FILE)
@_in_directory
def screenshot(directory: Path, machine: str, file: Path) -> int:
    """Write what a machine's screen shows to a PNG FILE."""
    RackClient(directory).screenshot(machine, file)
    return 0


@lab.command("exec", context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_in_directory
def execute(directory: Path, command: tuple[str, ...]) -> int:
    """Run COMMAND on the rack's network; its exit code is passed on."""
    client = RackClient(directory)
    become(client.exec_argv(command), client.directory)


def rack_table(state: RackStatus) -> Table:
    """Return one row per machine."""
    table = Table(
        box=box.SIMPLE,
        pad_edge=False,
        title=Text(for_terminal(f"{state.address} · {state.accelerator} · {state.directory}")),
        title_justify="left",
    )
    for name in ("machine", "firmware", "power", "MAC", "disk", "up for", "note"):
        table.add_column(name, overflow="fold")
    for machine in state.machines:
        up = "-" if machine.uptime_seconds is None else duration(machine.uptime_seconds)
        table.add_row(
            Text(for_terminal(machine.name)),
            machine.firmware,
            Text(machine.power, style="green" if machine.power == "on" else "dim"),
            machine.mac,
            Text(for_terminal(machine.disk_serial)),
            up,
            Text(for_terminal(machine.note)),
        )
    return table
