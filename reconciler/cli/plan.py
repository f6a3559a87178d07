"""``rackwright plan``: what separates the fleet from its repository."""

from json import dumps
from pathlib import Path

import click

from reconciler.cli.options import format_option, ref_option, repo_option, state_option


@click.command()
@repo_option
@ref_option
@state_option
@format_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the plan here as JSON, for `rackwright apply FILE`.",
)
def plan(repo: str, ref: str | None, state: Path, output_format: str, out: Path | None) -> int:
    """Show what separates the fleet from its repository. Changes nothing.

    A commit that may not be applied can be planned for review; the plan says so.

    \b
    Exit codes: 0 nothing to do, 1 error, 2 safe changes only,
    3 destructive or disruptive changes, 4 blocked, 5 observation incomplete.
    """  # noqa: D301 - \b keeps click from reflowing the list
    from reconciler.cli.workspace import Workspace, utc_now  # noqa: PLC0415
    from reconciler.planning.plan import exit_code  # noqa: PLC0415
    from reconciler.rendering.console import console  # noqa: PLC0415
    from reconciler.rendering.plan_json import plan_document  # noqa: PLC0415
    from reconciler.rendering.plan_text import print_plan  # noqa: PLC0415

    workspace = Workspace(repo, ref, state)
    now = utc_now()
    made = workspace.plan(now)
    document = dumps(plan_document(made), indent=2)
    if out is not None:
        out.write_text(document + "\n", encoding="utf-8")
    if output_format == "json":
        click.echo(document)
        if workspace.notice:
            click.echo(workspace.notice, err=True)
    else:
        print_plan(console(), made, workspace.source.describe, now, workspace.notice)
    return exit_code(made)
