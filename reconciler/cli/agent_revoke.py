"""``rackwright agent revoke``: refuse an agent for good."""

import click

from reconciler.app.agents import Word
from reconciler.app.agents import revoke as revoke_agent
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.options import project_options
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept, and told to the agent.")
@project_options
def revoke(project: Project, name: str, reason: str) -> None:
    """Refuse all certificates of NAME from its next request on, also on open connections.

    It cannot renew or come back; only a new token makes it an agent again, as when the machine is
    deployed anew.

    \b
    Example:
      rackwright agent revoke node-07 --reason 'stolen'
    """  # noqa: D301 - \b keeps click from reflowing the list
    project.require_state()
    count = revoke_agent(project, name, Word(who(), reason, utc_now()))
    click.echo(for_terminal(f"{name} is refused from now on; certificates revoked: {count:,}"))
