"""``rackwright breaker``: what holds back new work after failures, and letting it go on."""

from json import dumps

import click

from reconciler.app.cancel import require_reason
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.options import format_option, project_options
from reconciler.state.breakers import Breakers
from reconciler.views.age import ago
from reconciler.views.untrusted import for_terminal


@click.group(invoke_without_command=True)
@project_options
@format_option
@click.pass_context
def breaker(context: click.Context, project: Project, output_format: str) -> None:
    """List the open breakers: since when and why no new work begins in the fleet or a group.

    \b
    Examples:
      rackwright breaker
      rackwright breaker reset --reason 'the image was captured anew'
      rackwright breaker reset tokyo/row2 --reason 'the switch was replaced'
    """  # noqa: D301 - \b keeps click from reflowing the list
    if context.invoked_subcommand is not None:
        return
    project.require_state()
    found = Breakers(project.database).open_ones()
    if output_format == "json":
        rows = [{**each._asdict(), "since": each.since.isoformat()} for each in found]
        click.echo(dumps({"breakers": rows}, indent=2))
    elif not found:
        click.echo("no breaker is open")
    for each in found if output_format == "text" else ():
        click.echo(for_terminal(f"{each.whose}: {each.cause}, {ago(each.since, utc_now())}"))


@breaker.command()
@click.argument("group", default="")
@click.option("--reason", default="", metavar="TEXT", help="Why it may go on; kept.")
@project_options
def reset(project: Project, group: str, reason: str) -> None:
    """Let work begin again in the fleet, or in GROUP; what failed before counts no more."""
    require_reason(reason)
    project.require_state()
    Breakers(project.database).reset(group, utc_now(), who(), reason)
    click.echo(f"work begins again in {f'group {group}' if group else 'the fleet'}")
