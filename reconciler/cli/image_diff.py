"""``rackwright image diff``: what changed from one image to another."""

from json import dumps
from pathlib import Path

import click

from providers.imaging.tree_comparison import UNREADABLE
from reconciler.app.image_contents import compare_images
from reconciler.cli.options import format_option, state_option
from reconciler.planning.image_difference import ChangedFiles
from reconciler.views.image_difference import difference_document, difference_lines


def _most(context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    """Return how many lines are meant, None for all."""
    del context, parameter
    if value == "all":
        return None
    if not value.isdecimal():
        raise click.BadParameter("it is neither a number nor 'all'")
    return int(value)


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--files",
    "most",
    callback=_most,
    metavar="N|all",
    default="50",
    show_default=True,
    help="How many changed files are listed.",
)
@state_option
@format_option
def diff(first: str, second: str, most: int | None, state: Path, output_format: str) -> int:
    """Show what differs in image B from image A: partitions, packages, files.

    The file systems are mounted where nobody
    else sees them, which needs root. Times of files do not count.

    \b
    Exit codes: 0 everything was compared, 1 error, or something could not be compared.

    \b
    Examples:
      rackwright image diff golden-2026-10 golden-2026-11
      rackwright image diff 3f2a9c01 golden-2026-11 --files all
    """  # noqa: D301 - \b keeps click from reflowing the list
    files = ChangedFiles(None if output_format == "json" else most)
    digests, found = compare_images(state, first, second, files.add)
    if output_format == "json":
        click.echo(dumps(difference_document(digests, found, files), indent=2))
    else:
        for line in difference_lines(found, files, most):
            click.echo(line)
    return 1 if found.problems or files.counts[UNREADABLE] else 0
