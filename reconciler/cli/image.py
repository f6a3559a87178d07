"""``rackwright image``: what is in the image store."""

from collections.abc import Mapping
from json import dumps
from pathlib import Path

import click
from attrs import asdict

from providers.imaging.store import ChunkStore
from reconciler.app.project import Project, utc_now
from reconciler.cli.options import format_option, state_option
from reconciler.errors import ReconcilerError
from reconciler.views.console import console
from reconciler.views.image_text import image_table
from specs.fleet import CompiledImage
from specs.types.name import MACHINE, of_machine


@click.group()
def image() -> None:
    """List disk images."""


@image.command("ls")
@click.option(
    "--repo",
    envvar="RACKWRIGHT_REPO",
    show_envvar=True,
    default="",
    metavar="DIR|URL",
    help="Show what this repository calls the images, and its descriptions of them.",
)
@state_option
@format_option
def ls(repo: str, state: Path, output_format: str) -> int:
    """List the images: name, digest, age, sizes, and whether each can be restored."""
    images = ChunkStore(state / "store").images()
    declared = _declared(repo, state) if repo and images else {}
    if output_format == "json":
        document = [
            {
                "name": each.name,
                "displayName": declared[each.name].display_name if each.name in declared else "",
                "description": declared[each.name].description if each.name in declared else "",
                "digest": each.digest,
                "created": each.created,
                "diskSize": each.disk_size,
                "usedBytes": each.used_bytes,
                "storedBytes": each.stored_bytes,
                "proof": each.restore_test,
                "problem": each.problem,
                "system": asdict(each.system) if each.system else None,
            }
            for each in images
        ]
        click.echo(dumps(document, indent=2))
    elif images:
        console().print(image_table(images, utc_now(), declared))
    else:
        click.echo("no images yet: a scenario with a backup step captures one")
    return 0


def _declared(repo: str, state: Path) -> Mapping[str, CompiledImage]:
    """Return what a repository says of images, by the names that machines give them.

    Nothing, and why, where it cannot be read.
    """
    try:
        fleet = Project(repo, None, state).fleet
    except ReconcilerError as error:
        click.echo(f"display names are not shown: {error}", err=True)
        return {}
    of_machines = {name: each for name, each in fleet.images.items() if MACHINE in name}
    named = {
        of_machine(name, machine): each
        for name, each in of_machines.items()
        for machine in fleet.machines
    }
    return {**named, **fleet.images}
