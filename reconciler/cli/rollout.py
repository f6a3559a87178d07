"""``rackwright rollout``: how far waves of work are, and halting, resuming, aborting them."""

from json import dumps

import click

from reconciler.app import rollouts as app
from reconciler.app.cancel import require_reason
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.options import format_option, project_options
from reconciler.state.rollouts import Rollout, Rollouts
from reconciler.views.console import console
from reconciler.views.rollout_json import rollout_document, summary_document
from reconciler.views.rollout_text import rollout_parts, rollouts_parts

_reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; kept.")


@click.group(invoke_without_command=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000))
@project_options
@format_option
@click.pass_context
def rollout(context: click.Context, project: Project, limit: int, output_format: str) -> None:
    """List rollouts: which wave each is in, how it goes, and why one is halted.

    ID is that of a rollout, or of the run that began it; its beginning is enough.

    \b
    Examples:
      rackwright rollout
      rackwright rollout show 20261128-1830
      rackwright rollout halt 20261128-1830 --reason 'customers report errors'
      rackwright rollout resume 20261128-1830 --reason 'web-07 had a broken fan'
      rackwright rollout abort 20261128-1830 --reason 'the image is wrong'
    """  # noqa: D301 - \b keeps click from reflowing the list
    if context.invoked_subcommand is not None:
        return
    known = _rollouts(project)
    found = known.newest(limit)
    if output_format == "json":
        click.echo(dumps({"rollouts": [summary_document(each) for each in found]}, indent=2))
    elif not found:
        click.echo("nothing was rolled out in waves yet")
    else:
        screen = console()
        for part in rollouts_parts(found, utc_now()):
            screen.print(part)


@rollout.command()
@click.argument("name", metavar="ID")
@click.option("--full", is_flag=True, help="Name every machine.")
@format_option
@project_options
def show(project: Project, name: str, output_format: str, *, full: bool) -> None:
    """Show one rollout: its waves, what became of each machine, and who decided what."""
    known = _rollouts(project)
    found = known.find(name)
    members, events = known.members(found.rollout_id), known.events(found.rollout_id)
    if output_format == "json":
        click.echo(dumps(rollout_document(known.progress(found), members, events), indent=2))
        return
    screen = console()
    for part in rollout_parts(found, members, events, full=full, names=project.display_names):
        screen.print(part)


@rollout.command()
@click.argument("name", metavar="ID")
@_reason_option
@project_options
def halt(project: Project, name: str, reason: str) -> None:
    """Let nothing more of a rollout begin; what is at work goes on."""
    found = _found(project, name, reason)
    app.halt(project.database, found, who(), reason, utc_now())
    click.echo(f"rollout {found.rollout_id} is halted in {found.wave_name(found.wave)}")


@rollout.command()
@click.argument("name", metavar="ID")
@_reason_option
@project_options
def resume(project: Project, name: str, reason: str) -> None:
    """Let a halted rollout go on; machines that failed are accepted as they are.

    They are not done again by this: for that, give their assignment a new run token.
    """
    found = _found(project, name, reason)
    app.resume(project.database, found, who(), reason, utc_now())
    click.echo(f"rollout {found.rollout_id} goes on in {found.wave_name(found.wave)}")


@rollout.command()
@click.argument("name", metavar="ID")
@_reason_option
@project_options
def abort(project: Project, name: str, reason: str) -> None:
    """End a rollout: what has not begun is cancelled, what is at work goes on to its end."""
    found = _found(project, name, reason)
    count = app.abort(project.database, found, who(), reason, utc_now())
    click.echo(f"rollout {found.rollout_id} is aborted; operations cancelled: {count:,}")


def _found(project: Project, name: str, reason: str) -> Rollout:
    require_reason(reason)
    return _rollouts(project).find(name)


def _rollouts(project: Project) -> Rollouts:
    project.require_state()
    return Rollouts(project.database)
