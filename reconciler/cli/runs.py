"""``rackwright runs``: what was approved, by whom and why, and how it went."""

from json import dumps
from pathlib import Path

import click

from agent.wire.evidence import EVIDENCE_NAMES, EvidenceName
from reconciler.app.project import Project, utc_now
from reconciler.app.run_log import chosen_log
from reconciler.cli.edited_file import write_output
from reconciler.cli.follow import watch
from reconciler.cli.hand_results import Results
from reconciler.cli.options import FILE, format_option, project_options
from reconciler.errors import ReconcilerError, StateError
from reconciler.state.machine_history import MachineHistory
from reconciler.state.operation_states import OperationState
from reconciler.state.run_evidence import RunEvidence
from reconciler.state.runs import RunKind, Runs
from reconciler.views.archive import archive
from reconciler.views.console import console
from reconciler.views.run_csv import runs_csv
from reconciler.views.run_json import run_document, summary_document
from reconciler.views.run_log import log_document, log_lines
from reconciler.views.run_text import run_parts, runs_table

_MOST = 20
_BY_PEOPLE: tuple[RunKind, ...] = ("apply", "run", "schedule")
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
      rackwright runs log 20261128-1830 --machine node-07
      rackwright runs export --csv runs.csv
    """  # noqa: D301 - \b keeps click from reflowing the list
    if context.invoked_subcommand is not None:
        return
    found = _runs(project).newest(limit, _ALL if everything else _BY_PEOPLE)
    if output_format == "json":
        click.echo(dumps({"runs": [summary_document(each) for each in found]}, indent=2))
    elif not found:
        click.echo("nothing was approved yet")
    else:
        console().print(runs_table(found, utc_now(), console().width))


@runs.command()
@click.argument("run_id", metavar="ID")
@format_option
@project_options
def show(project: Project, run_id: str, output_format: str) -> None:
    """Show one run: who, why, which commit, and each machine's steps with their times.

    ID may be cut short, to no fewer than 4 characters, as long as one run alone begins with it.
    """
    found = _runs(project)
    summary = found.summary(found.find(run_id))
    operations = MachineHistory(project.database).of_run(summary.run.run_id)
    evidence = _evidence(project).of_run(summary.run.run_id)
    now = utc_now()
    if output_format == "json":
        click.echo(dumps(run_document(summary, operations, evidence, now), indent=2))
        return
    screen = console()
    for part in run_parts(summary, operations, evidence, now, project.display_names):
        screen.print(part)


@runs.command()
@click.argument("run_id", metavar="ID")
@click.option("--machine", default="", metavar="NAME", help="Whose; needed if the run has several.")
@click.option(
    "--file",
    "name",
    type=click.Choice(EVIDENCE_NAMES),
    default="agent",
    show_default=True,
    help="agent: the agent's log. dmesg: the kernel's. disks: before and after. smart: their "
    "health. system: the Deploy-OS and the hardware.",
)
@click.option("--attempt", type=click.IntRange(1), help="Which attempt; the newest that has it.")
@format_option
@project_options
def log(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    run_id: str,
    machine: str,
    name: EvidenceName,
    attempt: int | None,
    output_format: str,
) -> None:
    """Print what a machine itself sent of a run: its logs, disks, their health.

    \b
    Examples:
      rackwright runs log 20261128-1830
      rackwright runs log 20261128-1830 --machine node-07 --file dmesg
    """  # noqa: D301 - \b keeps click from reflowing the list
    run = _runs(project).find(run_id)
    operations = MachineHistory(project.database).of_run(run.run_id)
    evidence = _evidence(project)
    known = evidence.of_run(run.run_id)
    chosen = chosen_log(operations, known, machine, name, attempt)
    text = evidence.text(chosen.file)
    if output_format == "json":
        document = log_document(chosen.operation.operation.machine, chosen.file, text)
        click.echo(dumps(document, indent=2))
        return
    for line in log_lines(text):
        click.echo(line)


@runs.command()
@click.argument("run_id", metavar="ID")
@click.option(
    "--out",
    "file",
    required=True,
    type=FILE,
    metavar="FILE.tar.zst",
    help="Where to write; - for standard output.",
)
@project_options
def collect(project: Project, run_id: str, file: Path) -> None:
    """Write all that is kept of a run into one archive: what is recorded, and every log.

    `tar --zstd -xf FILE` unpacks it. Texts are as the machines sent them: read them with a
    program that heeds no escape sequences.
    """
    found = _runs(project)
    summary = found.summary(found.find(run_id))
    operations = MachineHistory(project.database).of_run(summary.run.run_id)
    evidence = _evidence(project)
    known = evidence.of_run(summary.run.run_id)
    document = dumps(run_document(summary, operations, known, utc_now()), indent=2)
    files = [("run.json", document.encode())]
    for each in operations:
        for text in known.get(each.operation.op_id, ()):
            at = f"{each.operation.machine}/{text.op_id[:12]}/{text.attempt}/{text.name}.txt"
            try:
                files.append((at, evidence.text(text).encode()))
            except StateError as error:
                click.echo(f"left out: {error}", err=True)
    write_output(file, archive(summary.run.run_id, files, int(summary.run.at.timestamp())))
    if str(file) != "-":
        click.echo(f"written: {file}, {len(files)} files", err=True)


@runs.command()
@click.argument("run_id", metavar="ID")
@click.option(
    "--output",
    type=FILE,
    metavar="FILE",
    help="Where a file that was got goes; - for standard output.  [default: its own name]",
)
@click.option("--force", is_flag=True, help="Replace FILE where it is there.")
@format_option
@project_options
def results(
    project: Project, run_id: str, output: Path | None, output_format: str, *, force: bool
) -> int:
    """Show what came of `exec`, `file` or `message` on each machine, as they do at their end.

    Exit code 0 when all of it is verified.
    """
    run = _runs(project).find(run_id)
    operations = MachineHistory(project.database).of_run(run.run_id)
    by_hand = tuple(each for each in operations if each.operation.is_inline)
    if not by_hand:
        raise ReconcilerError(
            "RW288",
            f"run {run.run_id} is none of `exec`, `file` or `message`",
            f"See it with `rackwright runs show {run.run_id}`",
        )
    Results(project, run.run_id, by_hand).show(output_format, output, force=force)
    return 0 if all(each.state is OperationState.VERIFIED for each in by_hand) else 1


@runs.command(name="watch")
@click.argument("run_id", metavar="ID")
@format_option
@project_options
def watch_run(project: Project, run_id: str, output_format: str) -> int:
    """Follow a run that `rackwright serve` carries out, to its end.

    Exit code 0 when all of it is verified.
    """
    found = _runs(project)
    op_ids = found.op_ids(found.find(run_id))
    return 0 if watch(project, op_ids, output_format) else 1


def _runs(project: Project) -> Runs:
    project.require_state()
    return Runs(project.database)


def _evidence(project: Project) -> RunEvidence:
    return RunEvidence(project.database, project.state / "runs")


@runs.command()
@click.option(
    "--csv",
    "file",
    required=True,
    type=FILE,
    metavar="FILE",
    help="Where to write; - for standard output.",
)
@project_options
def export(project: Project, file: Path) -> None:
    """Write all runs as CSV: one line for each operation and step."""
    found = _runs(project)
    history = MachineHistory(project.database)
    every = found.newest(1_000_000, _ALL)
    text = runs_csv((each.run, history.of_run(each.run.run_id)) for each in every)
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    write_output(file, text.encode())
    click.echo(f"written: {file}", err=True)
