"""``rackwright image unpin``: keep an image no longer for its own sake."""

import click

from reconciler.app.images import unpin_image
from reconciler.app.project import Project
from reconciler.cli.image_options import reason_option, reference_argument, word
from reconciler.cli.options import project_options


@click.command()
@reference_argument
@reason_option
@project_options
def unpin(project: Project, reference: str, reason: str) -> None:
    """End the pin of the image REF; without a name, it is then collected."""
    digest = unpin_image(project, reference, word(reason))
    click.echo(f"image {digest[:12]} is pinned no more")
