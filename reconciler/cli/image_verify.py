"""``rackwright image verify``: whether images are whole where they lie."""

from itertools import chain
from json import dumps
from pathlib import Path

import click
from rich.filesize import decimal

from providers.imaging.reference import find_image
from reconciler.app.image_signing import checked_signatures
from reconciler.app.images import test_image
from reconciler.app.images import verify as verify_images
from reconciler.app.project import Project
from reconciler.cli.image_options import word
from reconciler.cli.options import format_option, state_option
from reconciler.views.console import console
from reconciler.views.image_verified import (
    damage_lines,
    loss_lines,
    signature_lines,
    verified_document,
    whole_again_lines,
)
from reconciler.views.progress import bytes_progress
from reconciler.views.untrusted import for_terminal


@click.command()
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Verify every image of the store.")
@click.option(
    "--prove",
    "with_tests",
    is_flag=True,
    help="Also run the restore test of what is undamaged, after which it can be restored.",
)
@state_option
@format_option
def verify(
    references: tuple[str, ...],
    state: Path,
    output_format: str,
    *,
    everything: bool,
    with_tests: bool,
) -> int:
    """Read and check every chunk of some images; end with 1 where one is damaged.

    So it does where a signature does not fit; that an image has none is only said.

    A damaged chunk is set aside, so that the next backup sends it again, and the images that
    need it are not restored until `--prove` finds them whole.

    \b
    Examples:
      rackwright image verify debian12-golden
      rackwright image verify --all
      rackwright image verify --prove debian12-golden
    """  # noqa: D301 - \b keeps click from reflowing the list
    project = Project("", None, state)
    project.require_store()
    screen = console(stderr=True)
    with bytes_progress(screen, "verify") as progress:
        findings = verify_images(project, references, word(""), progress, everything=everything)
    found, unwritten = findings.verified, findings.unwritten
    # A restore test mends all but the chunks and the manifest.
    damaged = {each.image for each in found.damages}
    worse = {each.image for each in found.damages if not each.is_mended_by_test}
    tests = {}
    if with_tests:
        digests = {find_image(project.store, each).digest for each in references}
        for digest in sorted((digests or project.store.image_digests()) - worse):
            tests[digest] = test_image(project, digest, word(""))
    mended = {digest for digest in damaged & tests.keys() if tests[digest].ok}
    digests = {find_image(project.store, each).digest for each in references}
    signatures = checked_signatures(project, digests or project.store.image_digests())
    misfits = [each for each in signatures.values() if each.state == "bad"]
    again = findings.whole_again - tests.keys()
    if output_format == "json":
        document = verified_document(found, tests, signatures, unwritten or findings.unkept, again)
        click.echo(dumps(document, indent=2))
    else:
        tags = project.store.names.tags()
        for line in chain(
            damage_lines(found, tags, is_written=not unwritten),
            whole_again_lines(again, tags),
            loss_lines(found, tags),
            signature_lines(signatures, tags),
        ):
            click.echo(for_terminal(line))
        for digest, test in tests.items():
            said = "can be restored" if test.ok else f"failed: {'; '.join(test.details)}"
            click.echo(for_terminal(f"restore test of {digest[:12]}: {said}"))
        outcome = f"{len(damaged):,} image(s) are damaged" if damaged else "undamaged"
        outcome += f", {len(mended):,} of them mended" if mended else ""
        looked_at = f"{found.images:,} image(s), {found.chunks:,} chunks of {decimal(found.size)}"
        unsigned = sum(each.state == "none" for each in signatures.values())
        outcome += f"; {unsigned:,} not signed" if unsigned else ""
        click.echo(f"{looked_at}: {outcome}")
        if unwritten:
            said = f"this could not be written down, and they can still be restored: {unwritten}"
            click.echo(for_terminal(said), err=True)
        elif findings.unkept:
            said = f"this could not be written down for `status`: {findings.unkept}"
            click.echo(for_terminal(said), err=True)
    failed = [test for test in tests.values() if not test.ok]
    return int(bool(damaged - mended or misfits or failed))
