"""``rackwright agent accept``: a person's word that an agent may come back."""

import click

from reconciler.app.agents import Word, accept_return
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.options import project_options
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("name")
@click.option("--serial", default="", metavar="HEX", help="Which one, where several ask.")
@click.option("--reason", default="", metavar="TEXT", help="Why you believe it; kept.")
@project_options
def accept(project: Project, name: str, serial: str, reason: str) -> None:
    """Let the agent NAME come back, whose certificate expired while its machine was off.

    It has proved that it has the certificate's key. That the machine is the one that you know is
    for you to say: see `rackwright agent ls` for where it asks from, and why no rule lets it in.

    \b
    Example:
      rackwright agent accept node-07 --reason 'was in store since spring, I plugged it in'
    """  # noqa: D301 - \b keeps click from reflowing the list
    project.require_state()
    found = accept_return(project, name, Word(who(), reason, utc_now()), serial)
    click.echo(for_terminal(f"{name} may come back: it asked last from {found.source}"))
    click.echo("its agent asks again within ten minutes")
