"""``rackwright image tag``: let a name point to an image."""

import click

from reconciler.app.images import tag_image
from reconciler.app.project import Project
from reconciler.cli.image_options import reason_option, reference_argument, word
from reconciler.cli.options import project_options
from reconciler.views.untrusted import for_terminal


@click.command()
@reference_argument
@click.argument("name")
@reason_option
@project_options
def tag(project: Project, reference: str, name: str, reason: str) -> None:
    """Let NAME point to the image REF from now on; what it pointed to becomes NAME~1.

    What restores from NAME gets the image in its next plan, which has to be approved.

    \b
    Examples:
      rackwright image tag nightly-db-01 db-golden
      rackwright image tag golden~1 golden --reason 'the new one does not boot'
    """  # noqa: D301 - \b keeps click from reflowing the list
    digest = tag_image(project, reference, name, word(reason))
    click.echo(for_terminal(f"{name} is image {digest[:12]} from now on"))
    if not project.store.usable(digest):
        click.echo("note: it cannot be restored until a restore test finds it whole", err=True)
