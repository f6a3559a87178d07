"""``rackwright lab``: the virtual rack."""

import os
import subprocess
from dataclasses import asdict
from json import dumps
from pathlib import Path

import click

from reconciler.cli.demo import demo
from reconciler.cli.options import format_option

DEFAULT_DIRECTORY = Path(".cache/lab/run/rack")


@click.group()
@click.option(
    "--dir",
    "directory",
    envvar="RACKWRIGHT_LAB",
    default=DEFAULT_DIRECTORY,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The rack's directory: disks, consoles, control socket.",
)
@click.pass_context
def lab(context: click.Context, directory: Path) -> None:
    """Run a virtual rack of QEMU machines in a network namespace of its own.

    Needs root. Nothing of the rack outlives it but the files in its directory.
    """
    context.obj = directory


lab.add_command(demo)


@lab.command()
@click.option(
    "--rack",
    "rack_file",
    default=Path("examples/lab/rack.yaml"),
    show_default=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Which machines.",
)
@click.option(
    "--cache",
    default=Path(".cache/lab/cache/golden"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keeps prepared root file systems.",
)
@click.pass_obj
def up(directory: Path, rack_file: Path, cache: Path) -> int:
    """Make the disks that are missing and start the rack, all machines off."""
    from providers.lab.rack import Rack  # noqa: PLC0415
    from providers.lab.up import rack_up  # noqa: PLC0415
    from reconciler.rendering.build_progress import build_progress  # noqa: PLC0415
    from reconciler.rendering.console import console  # noqa: PLC0415

    rack = Rack.load(rack_file)
    with build_progress(console(), "rack") as progress:
        rack_up(rack, directory, cache, lambda phase: progress(phase, None))
    return 0


@lab.command()
@click.pass_obj
def down(directory: Path) -> int:
    """Stop all machines and take the rack away; disks and consoles stay."""
    from providers.lab.client import RackClient  # noqa: PLC0415

    click.echo("the rack is down" if RackClient(directory).down() else "no rack was up")
    return 0


@lab.command()
@format_option
@click.pass_obj
def status(directory: Path, output_format: str) -> int:
    """Show the machines and their power."""
    from providers.lab.client import RackClient  # noqa: PLC0415
    from reconciler.rendering.console import console  # noqa: PLC0415
    from reconciler.rendering.rack_text import rack_table  # noqa: PLC0415

    state = RackClient(directory).status()
    if output_format == "json":
        click.echo(dumps(asdict(state), indent=2, default=str))
    else:
        console().print(rack_table(state))
    return 0


@lab.command()
@click.argument("action", type=click.Choice(["on", "off", "reset"]))
@click.argument("machine")
@click.pass_obj
def power(directory: Path, action: str, machine: str) -> int:
    """Press a machine's buttons."""
    from providers.lab.client import RackClient  # noqa: PLC0415

    client = RackClient(directory)
    actions = {"on": client.power_on, "off": client.power_off, "reset": client.reset}
    actions[action](machine)
    return 0


@lab.command("console")
@click.argument("machine")
@click.pass_obj
def follow_console(directory: Path, machine: str) -> int:
    """Follow what a machine's serial console shows; end with Ctrl-C."""
    from providers.lab.client import RackClient  # noqa: PLC0415

    path = RackClient(directory).console_path(machine)
    return subprocess.run(["tail", "-n", "+1", "-F", str(path)], check=False).returncode


@lab.command()
@click.argument("machine")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def screenshot(directory: Path, machine: str, file: Path) -> int:
    """Write what a machine's screen shows to a PNG FILE."""
    from providers.lab.client import RackClient  # noqa: PLC0415

    RackClient(directory).screenshot(machine, file)
    return 0


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def execute(directory: Path, command: tuple[str, ...]) -> int:
    """Run COMMAND on the rack's network; its exit code is passed on."""
    from providers.lab.client import RackClient  # noqa: PLC0415

    client = RackClient(directory)
    environment = {**os.environ, "RACKWRIGHT_LAB": str(client.directory)}
    return subprocess.run(client.exec_argv(command), env=environment, check=False).returncode
