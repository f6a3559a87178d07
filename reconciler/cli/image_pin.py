"""``rackwright image pin``: keep an image."""

import click

from reconciler.app.images import pin_image
from reconciler.app.project import Project
from reconciler.cli.image_options import reason_option, reference_argument, word
from reconciler.cli.options import project_options


@click.command()
@reference_argument
@reason_option
@project_options
def pin(project: Project, reference: str, reason: str) -> None:
    """Keep the image REF, whatever becomes of its names, until it is unpinned.

    \b
    Example:
      rackwright image pin db-01~2 --reason 'evidence of incident 1207'
    """  # noqa: D301 - \b keeps click from reflowing the list
    digest = pin_image(project, reference, word(reason))
    click.echo(f"image {digest[:12]} is pinned")
