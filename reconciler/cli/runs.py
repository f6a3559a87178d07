"""``rackwright runs``: what was approved, by whom and why, and how it went."""

from json import dumps
from pathlib import Path

import click

from reconciler.app.project import Project, utc_now
from reconciler.cli.edited_file import write_output
from reconciler.cli.follow import watch
from reconciler.cli.options import FILE, format_option, project_options
from reconciler.state.machine_history import MachineHistory
from reconciler.state.runs import RunKind, Runs
from reconciler.views.console import console
from reconciler.views.run_csv import runs_csv
from reconciler.views.run_json import run_document, summary_document
from reconciler.views.run_text import run_parts, runs_table

_MOST = 20
_BY_PEOPLE: tuple[RunKind, ...] = ("apply", "run")
_ALL: tuple[RunKind, ...] = (*_BY_PEOPLE, "unattended")


@click.group(invoke_without_command=True)
@click.option("--limit", default=_MOST, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--all", "everything", is_flag=True, help="Also what the server began by itself.")
@project_options
@format_option
@click.pass_context
def runs(
    context: click.Context,
    project: Project,
    limit: int,
    output_format: str,
    *,
    everything: bool,
) -> None:
    """List what was approved: when, by whom, why, and how it went; the newest first.

    \b
    Examples:
      rackwright runs
      rackwright runs show 20261128-1830
      rackwright runs export --csv runs.csv
    """  # noqa: D301 - \b keeps click from reflowing the list
    context.obj = project
    project.require_state()
    if context.invoked_subcommand is not None:
        return
    found = Runs(project.database).newest(limit, _ALL if everything else _BY_PEOPLE)
    if output_format == "json":
        click.echo(dumps({"runs": [summary_document(each) for each in found]}, indent=2))
    elif not found:
        click.echo("nothing was approved yet")
    else:
        console().print(runs_table(found, utc_now(), console().width))


@runs.command()
@click.argument("run_id", metavar="ID")
@format_option
@click.pass_obj
def show(project: Project, run_id: str, output_format: str) -> None:
    """Show one run: who, why, which commit, and each machine's steps with their times.

    ID may be cut short, to no fewer than 4 characters, as long as one run alone begins with it.
    """
    found = Runs(project.database)
    summary = found.summary(found.find(run_id))
    operations = MachineHistory(project.database).of_run(summary.run.run_id)
    now = utc_now()
    if output_format == "json":
        click.echo(dumps(run_document(summary, operations, now), indent=2))
        return
    screen = console()
    for part in run_parts(summary, operations, now):
        screen.print(part)


@runs.command(name="watch")
@click.argument("run_id", metavar="ID")
@format_option
@click.pass_obj
def watch_run(project: Project, run_id: str, output_format: str) -> int:
    """Follow a run that `rackwright serve` carries out, to its end.

    Exit code 0 when all of it is verified.
    """
    found = Runs(project.database)
    op_ids = found.op_ids(found.find(run_id))
    return 0 if watch(project, op_ids, output_format) else 1


@runs.command()
@click.option(
    "--csv",
    "file",
    required=True,
    type=FILE,
    metavar="FILE",
    help="Where to write; - for standard output.",
)
@click.pass_obj
def export(project: Project, file: Path) -> None:
    """Write all runs as CSV: one line for each operation and step."""
    found = Runs(project.database)
    history = MachineHistory(project.database)
    every = found.newest(1_000_000, _ALL)
    text = runs_csv((each.run, history.of_run(each.run.run_id)) for each in every)
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    write_output(file, text.encode())
    click.echo(f"written: {file}", err=True)
