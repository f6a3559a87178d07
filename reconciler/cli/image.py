"""``rackwright image``: disk images, and what is done with them."""

import click

from reconciler.cli.lazy_group import LazyGroup

_COMMANDS = {
    "ls": "List images: name, digest, age, sizes, and whether each can be restored.",
}


@click.group(cls=LazyGroup, summaries=_COMMANDS, prefix="image_")
def image() -> None:
    """List disk images, look into them, keep and delete them.

    An image is named by NAME, which means its newest generation, NAME~1, the generation before
    that, or the first 8 or more digits of its digest.
    """
