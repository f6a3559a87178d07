"""``rackwright agent ls``: which installed agents there are."""

from json import dumps

import click
from rich.table import Table

from reconciler.app.agents import Agent, agents
from reconciler.app.project import Project, utc_now
from reconciler.cli.options import format_option, project_options
from reconciler.views.age import ago
from reconciler.views.console import console
from reconciler.views.untrusted import for_terminal

_STATES = {
    "valid": "valid",
    "expired": "expired",
    "waits": "waits to come back",
    "revoked": "revoked",
}


@click.command()
@project_options
@format_option
def ls(project: Project, output_format: str) -> None:
    """List the agents of installed systems: certificate, last contact, state.

    An agent renews its certificate by itself while its machine is on. One that was off until it
    expired asks to come back, and waits for `rackwright agent accept` unless the Fleet's
    `agents.returnWithin` lets it in.
    """
    project.require_state()
    found = agents(project, utc_now())
    if output_format == "json":
        click.echo(dumps({"agents": [_document(each) for each in found]}, indent=2))
        return
    if not found:
        click.echo("no installed system has an agent yet")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("NAME", "STATE", "CERTIFICATE UNTIL", "LAST CONTACT", ""):
        table.add_column(heading)
    now = utc_now()
    for each in found:
        table.add_row(
            for_terminal(each.name),
            _STATES[each.state],
            f"{each.expires:%Y-%m-%d}",
            ago(each.contact, now),
            for_terminal(each.detail),
        )
    console().print(table, highlight=False, markup=False)


def _document(agent: Agent) -> dict[str, object]:
    contact = agent.contact.isoformat() if agent.contact else None
    return {**agent._asdict(), "expires": agent.expires.isoformat(), "contact": contact}
