"""``rackwright image gc``: delete what no image needs."""

from json import dumps

import click
from rich.filesize import decimal

from reconciler.app.images import collect_garbage
from reconciler.app.project import Project, utc_now
from reconciler.cli.options import format_option, project_options


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@project_options
@format_option
def gc(project: Project, output_format: str, *, dry_run: bool) -> None:
    """Delete images without a name and a pin, and chunks that no image needs.

    What killed commands left in their work folders goes, too. It may run beside captures, restores
    and the server: what a capture may still count on is left for the next time.
    """
    project.require_store()
    found, left = collect_garbage(project, utc_now(), dry_run=dry_run)
    if output_format == "json":
        document = {
            "dryRun": dry_run,
            "images": list(found.images),
            "chunks": found.chunks,
            "corrupt": found.corrupt,
            "bytes": found.freed,
            "tooYoung": found.too_young,
            "workFolders": left.folders,
            "workBytes": left.size,
        }
        click.echo(dumps(document, indent=2))
        return
    would = "would be deleted" if dry_run else "deleted"
    click.echo(
        f"{would}: {len(found.images):,} image(s), {found.chunks:,} chunks, {found.corrupt:,} that "
        f"had been set aside; {decimal(found.freed)}"
    )
    if left.folders:
        verb = "would be removed" if dry_run else "removed"
        click.echo(
            f"{verb}: {left.folders:,} work folder(s) of commands that were killed; "
            f"{decimal(left.size)}"
        )
    if found.too_young:
        click.echo(f"left for later: {found.too_young:,} chunks that a capture may count on")
