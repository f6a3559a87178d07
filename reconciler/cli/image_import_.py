"""``rackwright image import``: a file of a disk as an image."""

from pathlib import Path

import click

from providers.imaging.disk_file import FORMATS
from reconciler.app.images import import_from_file
from reconciler.app.project import Project
from reconciler.cli.image_options import reason_option, word
from reconciler.cli.options import FILE, state_option
from reconciler.views.console import console
from reconciler.views.image_text import identity_line
from reconciler.views.progress import bytes_progress
from reconciler.views.untrusted import for_terminal


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--name", required=True, metavar="NAME", help="The name that points to the image.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["auto", *FORMATS]),
    default="auto",
    show_default=True,
    help="What FILE is; auto looks at its first bytes.",
)
@click.option(
    "--no-system",
    is_flag=True,
    help="Do not look whether clones can get an identity of their own, for which root mounts the "
    "file systems in FILE.",
)
@reason_option
@state_option
def import_(  # noqa: PLR0913 - one for each option
    file: Path, name: str, file_format: str, reason: str, state: Path, *, no_system: bool
) -> int:
    """Make an image of FILE, the disk of a virtual machine or of a cloud, and test it.

    Files that refer to others are refused. NAME points to the image once its restore test has
    passed. Whether clones of it can get an identity of their own is looked at as of a capture.

    \b
    Examples:
      rackwright image import debian-12-genericcloud-amd64.qcow2 --name debian12-cloud
      rackwright image import disk.img --format raw --name appliance
    """  # noqa: D301 - \b keeps click from reflowing the list
    said = word(reason or f"from {file.name}")
    with bytes_progress(console(stderr=True), "import") as progress:
        project = Project("", None, state)
        digest, tested, found, unsigned = import_from_file(
            project, file, file_format, name, said, progress, look=not no_system
        )
    if tested.ok:
        click.echo(for_terminal(f"{name} is image {digest[:12]} from now on; it can be restored"))
        if unsigned:
            click.echo(for_terminal(f"it is not signed: {unsigned}"))
        click.echo(for_terminal(identity_line(found.system, found.problem)))
        return 0
    click.echo(for_terminal(f"image {digest[:12]} got no name, its restore test failed:"))
    for line in tested.details:
        click.echo(for_terminal(f"  {line}"))
    return 1
