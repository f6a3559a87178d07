"""``rackwright agent authority``: the keys of the certification authority."""

from json import dumps

import click

from reconciler.app.agents import Word, authority_keys, retire_authority, roll_authority
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.options import format_option, project_options

_SHORT = 12
_reason = click.option("--reason", default="", metavar="TEXT", help="Why; it is kept.")


@click.group(invoke_without_command=True)
@project_options
@format_option
@click.pass_context
def authority(context: click.Context, project: Project, output_format: str) -> None:
    """List the authority's keys and how many agents have certificates by each.

    A key signs for ten years. Roll it over before that, or when it may have become known to
    others; retire the earlier one when the agents that matter have certificates by the new one.
    A running `serve` takes either over within seconds.

    \b
    Examples:
      rackwright agent authority
      rackwright agent authority roll --reason 'nine years old'
      rackwright agent authority retire --reason 'all racks were on since'
    """  # noqa: D301 - \b keeps click from reflowing the list
    if context.invoked_subcommand is not None:
        return
    project.require_state()
    found = authority_keys(project, utc_now())
    if output_format == "json":
        click.echo(dumps({"keys": [each._asdict() for each in found]}, indent=2))
        return
    for each in found:
        role = "signs" if each.is_present else "is accepted until it is retired"
        click.echo(f"{each.key[:_SHORT]} {role}; agents: {each.agents:,}")


@authority.command()
@_reason
@project_options
def roll(project: Project, reason: str) -> None:
    """Make a new key; agents that are there get a certificate by it within a day.

    Until the earlier key is retired its agents are let in as ever. Its private half is gone.
    """
    project.require_state()
    key = roll_authority(project, Word(who(), reason, utc_now()))
    click.echo(f"the authority signs with key {key[:_SHORT]} from now on")
    click.echo("when agents have followed, say `rackwright agent authority retire`")


@authority.command()
@click.option("--yes", is_flag=True, help="Although agents still have certificates by it.")
@_reason
@project_options
def retire(project: Project, reason: str, *, yes: bool) -> None:
    """Let in no agent with a certificate by an earlier key any more.

    Those that were off since the rollover trust the server still, and ask to come back
    (`rackwright agent ls`). The server's own certificate is by the new key then.
    """
    project.require_state()
    retired = retire_authority(project, Word(who(), reason, utc_now()), although_used=yes)
    if not retired:
        click.echo("there is no earlier key to retire")
    for key in retired:
        click.echo(f"key {key[:_SHORT]} is retired")
