"""``rackwright agent token``: tokens by which agents join without a network boot."""

from json import dumps

import click

from reconciler.app import join_tokens as app
from reconciler.app.cancel import require_keepable, require_reason
from reconciler.app.project import Project, utc_now
from reconciler.cli.agreement import who
from reconciler.cli.options import format_option, project_options
from reconciler.state.join_tokens import JoinTokens
from reconciler.views.join_token_text import token_document, token_lines
from reconciler.views.untrusted import for_terminal


@click.group()
def token() -> None:
    """Make, list and revoke tokens by which agents join.

    An agent that was installed by hand enrolls with one. Hardware that a document names
    becomes the agent of that machine; other hardware is shown as discovered.

    \b
    Examples:
      rackwright agent token new --reason 'web-07 was installed by hand'
      rackwright agent token new --uses 40 --expires 3d --group tokyo/row2
      rackwright agent token ls
      rackwright agent token revoke 3f9c21ab --reason 'it was mailed around'
    """  # noqa: D301 - \b keeps click from reflowing the list


@token.command()
@click.option("--uses", default=1, show_default=True, help="Agents that may join: 1 to 10,000.")
@click.option(
    "--expires", default="2h", show_default=True, metavar="TIME", help="From now: 5m to 30d."
)
@click.option(
    "--group",
    default="",
    metavar="PATH",
    help="Where `adopt` puts machines that no EnrollmentRule matches.",
)
@click.option("--reason", default="", metavar="TEXT", help="What it is for; kept.")
@click.option("--https-port", default=8443, show_default=True, help="The one of `serve`.")
@format_option
@project_options
def new(  # noqa: PLR0913, PLR0917 - one argument per option
    project: Project,
    uses: int,
    expires: str,
    group: str,
    reason: str,
    https_port: int,
    output_format: str,
) -> None:
    """Make a token and print it, this once: only its hash is kept.

    The server's URL and the fingerprint of its certificate are printed with it, and the
    command to give them to. The token itself is read from standard input there: arguments
    of a program are seen by everybody on its machine.
    """
    require_keepable(reason)
    terms = app.terms_of(project, uses, expires, group)
    endpoint = app.endpoint_of(project.state, https_port)
    project.require_state()
    made = app.make_token(project.database, terms, who(), reason, utc_now())
    join = f"rackwright-agent join --server {endpoint.url} --pin {endpoint.pin} --token-file -"
    if output_format == "json":
        known = {"token": made.text, "server": endpoint.url, "pin": endpoint.pin, "command": join}
        click.echo(dumps({**known, **token_document(made.token, (), utc_now())}, indent=2))
        return
    click.echo(f"token   {made.text}")
    click.echo(f"server  {endpoint.url}")
    click.echo(f"pin     {endpoint.pin}")
    for line in token_lines(made.token, (), utc_now()):
        click.echo(line, err=True)
    click.echo("\nThe token is not shown again. On the machine, as root:", err=True)
    click.echo(f"  {join}", err=True)


@token.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are of no use any more.")
@format_option
@project_options
def ls(project: Project, output_format: str, *, everything: bool) -> None:
    """List tokens: who made each, when and why, what is left of it, and who joined by it."""
    project.require_state()
    now, known = utc_now(), JoinTokens(project.database)
    joins = known.joins()
    found = [each for each in known.all() if everything or each.is_live(now)]
    if output_format == "json":
        documents = [token_document(each, joins.get(each.token_id, ()), now) for each in found]
        click.echo(dumps({"tokens": documents}, indent=2))
        return
    if not found:
        click.echo("no token is of use" if not everything else "no token was made")
    for each in found:
        for line in token_lines(each, joins.get(each.token_id, ()), now):
            click.echo(line)


@token.command()
@click.argument("token_id", metavar="ID")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept.")
@project_options
def revoke(project: Project, token_id: str, reason: str) -> None:
    """Let nobody join by a token any more; who joined by it stays."""
    require_reason(reason)
    project.require_state()
    found = app.revoke_token(project.database, token_id, who(), reason, utc_now())
    click.echo(for_terminal(f"token {found} is revoked"))
