"""``rackwright plan``: what separates the fleet from its repository."""

from pathlib import Path

import click

from reconciler.cli.options import ref_option, repo_option, state_option


@click.command()
@repo_option
@ref_option
@state_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "markdown", "html"]),
    default="text",
    show_default=True,
    help="Text for a terminal, JSON for programs, Markdown for a comment on a pull request "
    "(at most 60,000 characters), HTML for a page with everything.",
)
@click.option(
    "--out",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Also write the plan here, once or several times: as Markdown to a name that ends with "
    ".md, as HTML to .html, else as JSON for `rackwright apply FILE`.",
)
@click.option(
    "--against",
    metavar="REF",
    help="Show what the revision changes against this one: work that it introduces, resolves "
    "or changes, and the machines' effective fields.",
)
@click.option("--explain", is_flag=True, help="Say what would unblock each blocked item.")
@click.option("--full", is_flag=True, help="Show every machine instead of a screenful.")
@click.option("--no-pager", is_flag=True, help="Print straight to the terminal.")
def plan(  # noqa: PLR0913, PLR0917 - one argument per option
    repo: str,
    ref: str | None,
    state: Path,
    output_format: str,
    out: tuple[Path, ...],
    against: str | None,
    *,
    explain: bool,
    full: bool,
    no_pager: bool,
) -> int:
    """Show what separates the fleet from its repository. Changes nothing.

    On a terminal, what does not fit goes through RACKWRIGHT_PAGER, PAGER or less.
    A commit that may not be applied can be planned for review; the plan says so.

    \b
    Exit codes: 0 nothing to do, 1 error, 2 safe changes only,
    3 destructive or disruptive changes, 4 blocked, 5 observation incomplete.
    With --against, of what the revision introduces.
    """  # noqa: D301 - \b keeps click from reflowing the list
    from reconciler.app.project import Project, utc_now  # noqa: PLC0415
    from reconciler.cli.plan_output import Review  # noqa: PLC0415
    from reconciler.planning.plan import exit_code  # noqa: PLC0415

    project = Project(repo, ref, state)
    now = utc_now()
    made = project.plan(now)
    compared, base_describe = None, ""
    if against is not None:
        from reconciler.planning.difference import difference  # noqa: PLC0415

        base = Project(repo, against, state)
        compared = difference(made, base.plan(now), project.fleet, base.fleet)
        base_describe = base.describe
    review = Review(
        made,
        project.announcement,
        project.notice,
        compared,
        base_describe,
        explain=explain,
        full=full,
    )
    for path in out:
        review.write(path)
    if output_format == "json" and project.notice:
        click.echo(project.notice, err=True)
    review.show(output_format, paged=not no_pager)
    return exit_code(compared.introduced if compared else made)
