"""``rackwright agent``: the agents of installed systems."""

import click

from reconciler.cli.agent_accept import accept
from reconciler.cli.agent_authority import authority
from reconciler.cli.agent_ls import ls
from reconciler.cli.agent_package import package
from reconciler.cli.agent_release import release
from reconciler.cli.agent_revoke import revoke
from reconciler.cli.agent_token import token


@click.group()
def agent() -> None:
    """Bring agents to installed systems, let them join, and see to whom they trust."""


for _command in (ls, accept, revoke, authority, package, release, token):
    agent.add_command(_command)
