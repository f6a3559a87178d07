"""``rackwright export``: desired state for other tools."""

from pathlib import Path

import click

from reconciler.app.project import Project
from reconciler.authoring.machine_csv import csv_text
from reconciler.authoring.machine_row import fleet_rows
from reconciler.cli.edited_file import write_output
from reconciler.cli.options import FILE, project_options


@click.group()
def export() -> None:
    """Write the machines of a repository in a form that other tools read."""


@export.command("csv", short_help="Write all machines as CSV.")
@project_options
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Write here instead of to the terminal, replacing what is there.",
)
def export_csv(project: Project, out: Path | None) -> None:
    """Write all machines as CSV: what is written of each itself, not what groups give it.

    `rackwright import csv` reads the same columns and makes the same machines of
    them: name, macs, group and, as needed, the other fields of the rows of a
    MachineTable, assign (scenario=run) and label.KEY. Lists are separated by spaces. A
    machine that a row cannot say, such as one with the address of its BMC, is refused.

    A cell that a spreadsheet would calculate (it begins with = + - @ or a tab) is
    written with a ' before it, which import takes away again.

    \b
    Examples:
      rackwright export csv --repo fleet --out machines.csv
      rackwright export csv --ref v1 | head
    """  # noqa: D301 - \b keeps click from reflowing the list
    rows = fleet_rows(project.source.files, project.whole_fleet)
    text = csv_text(rows)
    if out is None:
        click.echo(text.encode(), nl=False)  # for programs: UTF-8 whatever the terminal has
        return
    write_output(out, text.encode())
    click.echo(f"written: {out}, {len(rows)} machine(s)")
