"""``rackwright image sign``: let the server's authority sign images."""

from json import dumps
from pathlib import Path

import click

from reconciler.app.image_signing import sign_images
from reconciler.app.project import Project
from reconciler.cli.image_options import reason_option, word
from reconciler.cli.options import format_option, state_option
from reconciler.views.console import console
from reconciler.views.image_verified import damage_lines
from reconciler.views.progress import bytes_progress
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option(
    "--all", "everything", is_flag=True, help="All images, but for those whose signature is bad."
)
@reason_option
@state_option
@format_option
def sign(
    references: tuple[str, ...],
    reason: str,
    state: Path,
    output_format: str,
    *,
    everything: bool,
) -> int:
    """Read every chunk of some images, and sign those that are whole.

    Captures, imports and shrunk images are signed by themselves: this is for images from before,
    from another server's store, or by a key that is to be retired. Who signs an image says that
    it is what it is to be.

    \b
    Exit codes: 0 all are signed, 1 error, or one is damaged or was left.

    \b
    Examples:
      rackwright image sign debian12-golden
      rackwright image sign --all --reason 'from before there were signatures'
    """  # noqa: D301 - \b keeps click from reflowing the list
    project = Project("", None, state)
    project.require_store()
    with bytes_progress(console(stderr=True), "verify") as progress:
        made = sign_images(project, references, word(reason), progress, everything=everything)
    if output_format == "json":
        document = {
            "signed": made.signed,
            "signedBefore": made.already,
            "left": made.left,
            "damaged": made.damaged,
        }
        click.echo(dumps(document, indent=2))
        return int(bool(made.left or made.damaged))
    if made.findings is not None:
        found, is_written = made.findings.verified, not made.findings.unwritten
        for line in damage_lines(found, project.store.names.tags(), is_written=is_written):
            click.echo(for_terminal(line))
    for digest, problem in made.left.items():
        click.echo(for_terminal(f"image {digest[:12]} was left, name it to sign it: {problem}"))
    click.echo(
        f"{len(made.signed):,} image(s) signed, {len(made.already):,} signed before by this key"
    )
    return int(bool(made.left or made.damaged))
