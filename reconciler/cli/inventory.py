"""``rackwright inventory``: what is installed on machines."""

from json import dumps
from pathlib import Path
from uuid import uuid4

import click

from agent.version import AGENT_VERSION
from reconciler.app.inventory import (
    FleetInventory,
    Found,
    format_of,
    inventory_of,
    parse_query,
    source_of,
    version_of,
)
from reconciler.app.project import Project, utc_now
from reconciler.cli.edited_file import write_output
from reconciler.cli.options import FILE, format_option, project_options
from reconciler.views.age import ago
from reconciler.views.console import console
from reconciler.views.inventory_documents import (
    FORMAT,
    MachineInventory,
    csv_lines,
    cyclonedx_pieces,
    entry_document,
    json_pieces,
    machine_document,
)
from reconciler.views.inventory_text import inventory_parts, machine_title, table

on_option = click.option(
    "--on",
    multiple=True,
    metavar="NAME|SELECTOR",
    help="Only these machines: a name, or conditions as in `status --select`. May be given again.",
)


@click.group()
def inventory() -> None:
    """Search, show and export what is installed on machines."""


@inventory.command()
@click.argument("query")
@on_option
@project_options
@format_option
def search(project: Project, query: str, on: tuple[str, ...], output_format: str) -> int:
    """Say which machines have a package: NAME, or 'NAME OPERATOR VERSION'.

    NAME may have * and ?; case does not matter. Versions are compared as dpkg or rpm does. What
    is said is as of each machine's last inventory.

    \b
    Examples:
      rackwright inventory search 'openssl < 3.0.14'
      rackwright inventory search 'linux-image-*' --on group=tokyo/row2

    Exit code 0 when something is found, 1 when nothing is.
    """  # noqa: D301 - \b keeps click from reflowing the list
    now = utc_now()
    wanted = parse_query(query)
    fleet = FleetInventory(project, on)
    found = fleet.search(wanted)
    missing = len(fleet.machines) - len(fleet.heads)
    if output_format == "json":
        document = {
            "found": [_found_document(each) for each in found],
            "machines": len(fleet.machines),
            "withoutInventory": missing,
        }
        click.echo(dumps(document, indent=2))
    else:
        if found:
            headings = ("machine", "package", "version", "architecture", "source", "as of")
            rows = (
                (
                    machine_title(each.machine, each.display_name),
                    each.item.row[0],
                    version_of(each.item),
                    each.item.row[1] if each.item.section == "packages" else "",
                    source_of(each.item),
                    ago(each.at, now),
                )
                for each in found
            )
            console().print(table(headings, rows))
        machines = len({each.machine for each in found})
        click.echo(f"{machines:,} of {len(fleet.heads):,} machine(s) with an inventory", err=True)
        if missing:
            click.echo(f"of {missing:,} machine(s) nothing is known", err=True)
    return 0 if found else 1


def _found_document(found: Found) -> dict[str, object]:
    return {
        "machine": found.machine,
        "displayName": found.display_name,
        "at": found.at.isoformat(),
        "kind": format_of(found.item),
        **entry_document(found.item.section, found.item.row),
    }


@inventory.command()
@click.argument("machine")
@project_options
@click.option("--full", is_flag=True, help="List every package and service.")
@format_option
def show(project: Project, machine: str, output_format: str, *, full: bool) -> None:
    """Show what is installed on one machine, and how it runs."""
    name, found = inventory_of(project, machine)
    one = _machine(found, name)
    if output_format == "json":
        click.echo(dumps({"format": FORMAT, **machine_document(one)}, indent=2))
        return
    screen = console()
    title = machine_title(name, one.display_name)
    for part in inventory_parts(title, one.head, one.sections, utc_now(), full=full):
        screen.print(part)


@inventory.command()
@on_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["csv", "json", "cyclonedx"]),
    default="csv",
    show_default=True,
    help="CSV has packages only; CycloneDX is version 1.6 as JSON.",
)
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Write here instead of to the terminal, replacing what is there.",
)
@project_options
def export(project: Project, on: tuple[str, ...], output_format: str, out: Path | None) -> None:
    """Write what is installed on machines for other programs.

    A cell of CSV that a spreadsheet would calculate, or show in another way, is written with a '
    before it.

    \b
    Examples:
      rackwright inventory export --format cyclonedx --out fleet.cdx.json
      rackwright inventory export --format csv --on label:role=compute
    """  # noqa: D301 - \b keeps click from reflowing the list
    fleet = FleetInventory(project, on)
    machines = (_machine(fleet, name) for name in sorted(fleet.heads))
    if output_format == "csv":
        pieces = csv_lines(machines)
    elif output_format == "json":
        pieces = json_pieces(machines)
    else:
        pieces = cyclonedx_pieces(machines, str(uuid4()), utc_now(), AGENT_VERSION)
    encoded = (piece.encode() for piece in pieces)  # for programs: whatever the terminal has
    if out is None:
        for piece in encoded:
            click.echo(piece, nl=False)
        return
    write_output(out, encoded)
    click.echo(f"written: {out}, {len(fleet.heads)} machine(s)")


def _machine(fleet: FleetInventory, name: str) -> MachineInventory:
    shown = fleet.machines[name].display_name
    return MachineInventory(name, shown, fleet.heads[name], fleet.sections(name))
