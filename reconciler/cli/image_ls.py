"""``rackwright image ls``: what is in the image store."""

from collections.abc import Mapping
from json import dumps
from pathlib import Path

import click

from reconciler.app.image_signing import checked_signatures
from reconciler.app.project import Project, utc_now
from reconciler.cli.image_options import documents_option, fleet_of
from reconciler.cli.options import format_option, state_option
from reconciler.state.image_checks import ImageChecks
from reconciler.views.console import console
from reconciler.views.image_text import image_entry, image_table
from specs.fleet import CompiledFleet, CompiledImage
from specs.types.name import MACHINE, of_machine


@click.command()
@click.option("--all", "everything", is_flag=True, help="List all generations of each image.")
@documents_option
@state_option
@format_option
def ls(repo: str, state: Path, output_format: str, *, everything: bool) -> int:
    """List the images: name, digest, age, sizes, and whether each can be restored.

    `kept` is how many generations there are; --all lists NAME~1 and older ones too.
    """
    project = Project("", None, state)
    store = project.store
    images = store.images()
    if everything:
        images = tuple(each for image in images for each in store.generations(image.name))
    fleet = fleet_of(repo, state) if images else None
    declared = {} if fleet is None else _declared(fleet)
    checks = ImageChecks(project.database).all() if images and project.has_state else {}
    signatures = checked_signatures(project, {each.digest for each in images})
    if output_format == "json":
        document = [
            image_entry(
                each,
                declared.get(each.name),
                checks.get(each.digest),
                signatures.get(each.digest),
            )
            for each in images
        ]
        click.echo(dumps(document, indent=2))
    elif images:
        screen = console()
        screen.print(image_table(images, utc_now(), declared, screen.width, checks, signatures))
    else:
        click.echo(
            "no images yet: a scenario with a backup step captures one, and `rackwright image "
            "import FILE --name NAME` makes one of a disk's file"
        )
    return 0


def _declared(fleet: CompiledFleet) -> Mapping[str, CompiledImage]:
    """Return what a fleet says of images, by the names that machines give them."""
    of_machines = {name: each for name, each in fleet.images.items() if MACHINE in name}
    named = {
        of_machine(name, machine): each
        for name, each in of_machines.items()
        for machine in fleet.machines
    }
    return {**named, **fleet.images}
