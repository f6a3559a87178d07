"""``rackwright image prune``: drop the generations that documents do not keep."""

from json import dumps

import click

from reconciler.app.images import prune_images
from reconciler.app.project import Project, utc_now
from reconciler.cli.options import format_option, project_options
from reconciler.views.image_text import image_entry
from reconciler.views.untrusted import for_terminal


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
@project_options
@format_option
def prune(project: Project, output_format: str, *, dry_run: bool) -> None:
    """Drop the generations that `spec.retention` of Image documents does not keep.

    `rackwright serve` does the same every hour. The newest image that can be restored, the newest
    one without losses, pinned ones and what approved work restores are kept in any case. `image gc`
    then frees their space.
    """
    project.require_store()
    found = prune_images(project, utc_now(), dry_run=dry_run)
    if output_format == "json":
        document = [
            {
                "name": each.name,
                "kept": each.kept,
                "dropped": [image_entry(one, None) for one in each.dropped],
            }
            for each in found
        ]
        click.echo(dumps({"dryRun": dry_run, "images": document}, indent=2))
        return
    verb = "would drop" if dry_run else "dropped"
    for each in found:
        listed = ", ".join(f"{one.digest[:12]} of {one.named_at[:10]}" for one in each.dropped)
        click.echo(for_terminal(f"{each.name}: {verb} {listed}; keeps {each.kept:,}"))
    if not found:
        click.echo("nothing to drop")
