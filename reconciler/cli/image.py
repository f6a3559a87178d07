"""``rackwright image``: what is in the image store."""

from json import dumps
from pathlib import Path

import click

from reconciler.cli.options import format_option, state_option


@click.group()
def image() -> None:
    """List disk images."""


@image.command("ls")
@state_option
@format_option
def ls(state: Path, output_format: str) -> int:
    """List the images: name, digest, age, sizes, and whether each can be restored."""
    from providers.imaging.store import ChunkStore  # noqa: PLC0415
    from reconciler.app.project import utc_now  # noqa: PLC0415
    from reconciler.views.console import console  # noqa: PLC0415
    from reconciler.views.image_text import image_table  # noqa: PLC0415

    images = ChunkStore(state / "store").images()
    if output_format == "json":
        document = [
            {
                "name": each.name,
                "digest": each.digest,
                "created": each.created,
                "diskSize": each.disk_size,
                "usedBytes": each.used_bytes,
                "storedBytes": each.stored_bytes,
                "proof": each.restore_test,
                "problem": each.problem,
            }
            for each in images
        ]
        click.echo(dumps(document, indent=2))
    elif images:
        console().print(image_table(images, utc_now()))
    else:
        click.echo("no images yet: a scenario with a backup step captures one")
    return 0
