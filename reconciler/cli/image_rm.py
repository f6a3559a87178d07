"""``rackwright image rm``: remove a generation, or a name with all of them."""

import click

from reconciler.app.images import remove_image
from reconciler.app.project import Project
from reconciler.cli.image_options import reason_option, reference_argument, word
from reconciler.cli.options import project_options
from reconciler.views.untrusted import for_terminal


@click.command()
@reference_argument
@click.option("--all", "whole_name", is_flag=True, help="Remove all generations of the name.")
@click.option("--force", is_flag=True, help="Even the newest that can be restored, or is whole.")
@reason_option
@project_options
def rm(project: Project, reference: str, reason: str, *, whole_name: bool, force: bool) -> None:
    """Remove the image REF from its name; of a digest, from all names.

    Refused where it is pinned, where approved work needs it and where documents restore from it.
    Its chunks are deleted by `rackwright image gc`; until then `image tag` brings it back.

    \b
    Examples:
      rackwright image rm golden~3
      rackwright image rm old-golden --all --force --reason 'nobody uses it'
    """  # noqa: D301 - \b keeps click from reflowing the list
    removed = remove_image(project, reference, word(reason), whole_name=whole_name, force=force)
    for each in removed:
        left = f"{each.left:,} generation(s) left" if each.left else "the name is gone"
        listed = ", ".join(digest[:12] for digest in each.digests)
        click.echo(for_terminal(f"removed from {each.name}: {listed}; {left}"))
        if each.together:
            stay = ", ".join(each.together)
            click.echo(for_terminal(f"  captured together with it, and still there: {stay}"))
    if not removed:
        click.echo("it has no name: `rackwright image gc` deletes it")
