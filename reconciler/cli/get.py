"""``rackwright get``: everything about one machine."""

from json import dumps
from pathlib import Path

import click

from reconciler.app.machine_details import machine_details
from reconciler.app.project import Project, utc_now
from reconciler.cli.edited_file import write_file
from reconciler.cli.options import FILE, project_options
from reconciler.views.console import console
from reconciler.views.disk_svg import disks_svg
from reconciler.views.machine_details import machine_document
from reconciler.views.machine_text import machine_parts

_MACHINE = "machine"


@click.command()
@click.argument("subject", metavar="machine NAME|machine/NAME")
@click.argument("name", required=False, metavar="")
@project_options
@click.option("--full", is_flag=True, help="Show all that is kept of boots and history.")
@click.option(
    "--svg",
    type=FILE,
    metavar="FILE",
    help="Also write a picture of the disks here, replacing what is there.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "svg"]),
    default="text",
    show_default=True,
    help="Text for people, JSON for programs, SVG for a picture of the disks.",
)
def get(  # noqa: PLR0913 - one argument per option
    project: Project,
    subject: str,
    name: str | None,
    svg: Path | None,
    output_format: str,
    *,
    full: bool,
) -> int:
    """Show one machine: what it shall be, how it stands, hardware, disks, boots, history.

    \b
    Examples:
      rackwright get machine node-01
      rackwright get machine/node-01 --format json
      rackwright get machine node-01 --svg disks.svg
    """  # noqa: D301 - \b keeps click from reflowing the list
    now = utc_now()
    details = machine_details(project, _named(subject, name), now)
    for note in project.notes:
        click.echo(note, err=True)
    report = details.seen.disks
    picture = ""
    if svg is not None or output_format == "svg":
        disks = report.report.disks if report else ()
        picture = disks_svg(details.name, disks, report.at if report else None)
    if svg is not None:
        write_file(svg, picture.encode())
        click.echo(f"written: {svg}", err=True)
    if output_format == "svg":
        click.echo(picture, nl=False)
    elif output_format == "json":
        click.echo(dumps(machine_document(details, now), indent=2))
    else:
        screen = console()
        for part in machine_parts(details, now, screen.width, full=full):
            screen.print(part)
    return 0


def _named(subject: str, name: str | None) -> str:
    kind, slash, rest = subject.partition("/")
    if kind == _MACHINE and rest and name is None:
        return rest
    if subject == _MACHINE and name:
        return name
    if subject == f"{_MACHINE}s":
        raise click.UsageError("`rackwright status` lists the machines")
    raise click.UsageError(
        f"write: rackwright get machine {name or rest or (subject if not slash else '')}".rstrip()
        + ("" if name or rest or subject != _MACHINE else " NAME")
    )
