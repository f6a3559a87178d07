"""``rackwright image accept-store``: go on with the image store that lies there now."""

from pathlib import Path

import click

from reconciler.app.images import accept_image_store
from reconciler.app.project import Project
from reconciler.cli.image_options import reason_option, word
from reconciler.cli.options import state_option


@click.command()
@reason_option
@state_option
def accept_store(reason: str, state: Path) -> None:
    """Use the image store that lies in STATE/store from now on, or make an empty one there.

    The state knows its store by an identity. Another one in its place, or an empty folder, is not
    touched until this command says that it is meant: after the old one was lost, or replaced on
    purpose. A server that runs goes on with it within seconds.

    \b
    Example:
      rackwright image accept-store --reason 'the old file server is gone'
    """  # noqa: D301 - \b keeps click from reflowing the list
    accepted = accept_image_store(Project("", None, state), word(reason))
    click.echo(f"the image store {accepted.root} is used from now on: {accepted.images:,} image(s)")
