"""``rackwright image export``: an image as a file."""

from pathlib import Path

import click

from providers.imaging.errors import ExportError
from providers.imaging.transfer import ExportFormat
from reconciler.app.images import export_to_file
from reconciler.app.project import Project
from reconciler.cli.image_options import reference_argument
from reconciler.cli.options import FILE, state_option
from reconciler.views.busy import busy
from reconciler.views.untrusted import for_terminal


@click.command()
@reference_argument
@click.argument("file", type=FILE)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["raw", "qcow2"]),
    default="raw",
    show_default=True,
    help="raw is sparse; qcow2 is for virtual machines.",
)
@state_option
def export(reference: str, file: Path, file_format: ExportFormat, state: Path) -> None:
    """Write the image REF to FILE, which must not be there yet.

    \b
    Examples:
      rackwright image export golden golden.img
      rackwright image export db-01~2 db-01.qcow2 --format qcow2
    """  # noqa: D301 - \b keeps click from reflowing the list
    if str(file) == "-":
        raise ExportError(
            file,
            "an image is written whole or not at all, which a pipe cannot be",
            "Name a file (./- is one of that name), or read the disk from `rackwright image mount`",
        )
    with busy(f"writing {file}"):
        digest = export_to_file(Project("", None, state), reference, file, file_format)
    click.echo(for_terminal(f"written: {file}, image {digest[:12]}"))
