"""``rackwright image shrink``: an image for a smaller disk."""

from functools import partial
from json import dumps
from pathlib import Path

import click

from providers.imaging.shrinking import Request
from reconciler.app.images import shrink_to_name
from reconciler.app.project import Project
from reconciler.cli.byte_size import BYTE_SIZE
from reconciler.cli.image_options import reason_option, reference_argument, word
from reconciler.cli.options import format_option, state_option
from reconciler.cli.termination import ending_as_interrupted
from reconciler.views.console import console
from reconciler.views.image_shrinking import shrunk_document, shrunk_lines
from reconciler.views.progress import bytes_progress
from reconciler.views.untrusted import for_terminal


@click.command()
@reference_argument
@click.argument("name", metavar="NEW")
@click.option(
    "--to",
    "disk_size",
    type=BYTE_SIZE,
    metavar="SIZE",
    help="The most that the new disk may have: 240GB, 100GiB.  [default: what the file system "
    "needs, and a tenth of it]",
)
@click.option(
    "--partition",
    type=click.IntRange(0),
    metavar="N",
    help="The partition that becomes smaller; 0 is a disk without a table.  [default: the one with "
    "the most unused space]",
)
@click.option("--dry-run", is_flag=True, help="Show sizes and places, and make nothing.")
@reason_option
@state_option
@format_option
def shrink(  # noqa: PLR0913, PLR0917 - options
    reference: str,
    name: str,
    disk_size: int | None,
    partition: int | None,
    reason: str,
    state: Path,
    output_format: str,
    *,
    dry_run: bool,
) -> int:
    """Make an image that fits a smaller disk out of the image REF, which stays as it is.

    One partition becomes smaller: ext2 to ext4, NTFS or Btrfs. What lies behind it moves down,
    with its number, type and UUIDs. NEW points to the image once its restore test has passed.

    \b
    Exit codes: 0 it can be restored, 1 error, or its restore test failed.

    \b
    Examples:
      rackwright image shrink golden golden-small --dry-run
      rackwright image shrink golden golden-small --to 240GB
      rackwright image shrink windows windows-small --to 128GiB --partition 3
    """  # noqa: D301 - \b keeps click from reflowing the list
    stage = partial(bytes_progress, console(stderr=True))
    request = Request(partition, disk_size)
    with ending_as_interrupted():
        made = shrink_to_name(
            Project("", None, state), reference, name, request, word(reason), stage, dry_run=dry_run
        )
    if output_format == "json":
        click.echo(dumps(shrunk_document(made, name), indent=2))
    else:
        for line in shrunk_lines(made, name):
            click.echo(for_terminal(line))
    return int(made.test is not None and not made.test.ok)
