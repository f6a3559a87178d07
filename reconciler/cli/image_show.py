"""``rackwright image show``: everything about one image."""

from json import dumps
from pathlib import Path

import click
from rich.console import Group

from reconciler.app.images import image_details
from reconciler.app.project import Project, utc_now
from reconciler.cli.image_options import documents_option, fleet_of, reference_argument
from reconciler.cli.options import format_option, state_option
from reconciler.views.console import console
from reconciler.views.image_details import image_document
from reconciler.views.image_details_text import image_parts


@click.command()
@reference_argument
@documents_option
@state_option
@format_option
def show(reference: str, repo: str, state: Path, output_format: str) -> None:
    """Show one image: disk, partitions, system, restore test, generations, who needs it.

    \b
    Examples:
      rackwright image show debian12-golden
      rackwright image show debian12-golden~1 --repo .
      rackwright image show 4f2a77c1 --format json
    """  # noqa: D301 - \b keeps click from reflowing the list
    details = image_details(Project(repo, None, state), reference, fleet_of(repo, state))
    if output_format == "json":
        click.echo(dumps(image_document(details), indent=2))
        return
    screen = console()
    # At once: `| head` may end before a second part is written.
    screen.print(Group(*image_parts(details, utc_now(), screen.width)))
