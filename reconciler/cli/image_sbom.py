"""``rackwright image sbom``: the bill of materials of an image."""

from pathlib import Path
from uuid import uuid4

import click

from agent.version import AGENT_VERSION
from agent.wire.inventory import row_of
from reconciler.app.image_contents import installed_software
from reconciler.app.project import utc_now
from reconciler.cli.edited_file import write_output
from reconciler.cli.options import FILE, state_option
from reconciler.views.inventory_documents import ImageSoftware, image_bill_pieces


@click.command()
@click.argument("reference", metavar="IMAGE")
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Write here instead of to the terminal, replacing what is there.",
)
@state_option
def sbom(reference: str, out: Path | None, state: Path) -> None:
    """Write what is installed in an image as a bill of materials: CycloneDX 1.6, JSON.

    The packages are those of dpkg's or rpm's
    database; no program of the image runs. Needs root.

    \b
    Example:
      rackwright image sbom golden-2026-11 --out golden-2026-11.cdx.json
    """  # noqa: D301 - \b keeps click from reflowing the list
    digest, found = installed_software(state, reference)
    image = ImageSoftware(reference, digest, found, tuple(map(row_of, found.packages)))
    pieces = image_bill_pieces(image, str(uuid4()), utc_now(), AGENT_VERSION)
    encoded = (piece.encode() for piece in pieces)
    if out is None or str(out) == "-":
        for piece in encoded:
            click.echo(piece, nl=False)
        return
    write_output(out, encoded)
    click.echo(f"written: {out}, {len(found.packages):,} package(s)")
