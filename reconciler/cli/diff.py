"""``rackwright diff``: what one commit wants otherwise than another."""

from json import dumps
from pathlib import Path

import click

from reconciler.app.project import Project, utc_now
from reconciler.app.review import behind_notice, compare_wanted
from reconciler.cli.options import format_option, repo_option, state_option
from reconciler.views.console import console, show
from reconciler.views.wanted_text import wanted_document, wanted_text

FORMAT = "rackwright-diff/1"


@click.command()
@click.argument("base", metavar="BASE")
@click.argument("ours", metavar="[REF]", default="HEAD")
@repo_option
@state_option
@format_option
@click.option("--full", is_flag=True, help="Show every cause instead of a screenful.")
@click.option("--no-pager", is_flag=True, help="Print straight to the terminal.")
def diff(  # noqa: PLR0913 - one argument per option
    base: str, ours: str, repo: str, state: Path, output_format: str, *, full: bool, no_pager: bool
) -> int:
    """Show what REF (or HEAD) wants otherwise than BASE, and because of which lines.

    Nothing that was observed is looked at: two commits are compared, whatever
    stands in the fleet. The directory of --state only keeps what was compiled.

    \b
    Exit codes: 0 no other destructive or disruptive work is wanted, 1 error,
    3 such work is wanted.

    \b
    Examples:
      rackwright diff main
      rackwright diff v1.4 v1.5 --format json
    """  # noqa: D301 - \b keeps click from reflowing the list
    first, second = Project(repo, base, state), Project(repo, ours, state)
    compared = compare_wanted(first, second, utc_now())
    here = Project(repo, None, state) if ours == "HEAD" else second
    if notice := behind_notice(first, second):
        click.echo(notice, err=True)
    for note in here.notes:
        click.echo(note, err=True)
    if output_format == "json":
        document = {
            "format": FORMAT,
            "revision": second.fleet.revision,
            "against": first.fleet.revision,
            "exitCode": compared.exit_code,
            **wanted_document(compared),
        }
        click.echo(dumps(document, indent=2))
    else:
        text = wanted_text(compared, second.describe, first.describe, full=full)
        show(console(), text, paged=not no_pager)
    return compared.exit_code
