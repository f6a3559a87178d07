"""``rackwright image``: disk images, and what is done with them."""

import click

from reconciler.cli.lazy_group import LazyGroup

_COMMANDS = {
    "accept-store": "Go on with the image store that lies there now.",
    "diff": "Show what differs between two images: partitions, packages, files.",
    "export": "Write an image to a file, raw or qcow2.",
    "gc": "Delete images without a name, and chunks that no image needs.",
    "import": "Make an image of a file: raw, qcow2, vmdk or vhdx.",
    "ls": "List images: name, digest, age, sizes, and whether each can be restored.",
    "mount": "Show an image as read-only files.",
    "pin": "Keep an image, whatever becomes of its names.",
    "prune": "Drop the generations that documents do not keep.",
    "rm": "Remove an image from its name, or a name.",
    "sbom": "Write what is installed in an image as a bill of materials.",
    "show": "Show everything about one image.",
    "shrink": "Make an image for a smaller disk out of one.",
    "sign": "Read images, and sign those that are whole.",
    "tag": "Let a name point to an image.",
    "unpin": "End the pin of an image.",
    "verify": "Read and check every chunk of images.",
}


@click.group(cls=LazyGroup, summaries=_COMMANDS, prefix="image_")
def image() -> None:
    """List disk images, look into them, keep and delete them.

    An image is named by NAME, which means its newest generation, NAME~1, the generation before
    that, or the first 8 or more digits of its digest.
    """
