"""``rackwright plan``: what separates the fleet from its repository."""

from collections.abc import Iterator
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import FILE, project_options
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reconciler.app.project import Project
    from reconciler.planning.difference import Difference
    from reconciler.planning.plan import Plan


@click.command()
@project_options
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
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="Also write the plan here, once or several times: as Markdown to a name that ends with "
    ".md, as HTML to .html, else as JSON for `rackwright apply FILE`.",
)
@click.option(
    "--against",
    metavar="REF",
    help="Show what the revision changes against this one: what is wanted otherwise and because "
    "of which lines, work that it introduces, resolves or changes, and effective fields.",
)
@click.option("--explain", is_flag=True, help="Say what would unblock each blocked item.")
@click.option("--full", is_flag=True, help="Show every machine instead of a screenful.")
@click.option("--no-pager", is_flag=True, help="Print straight to the terminal.")
def plan(  # noqa: PLR0913 - one argument per option
    project: "Project",
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
    3 destructive or disruptive changes, 4 blocked (also by work under way),
    5 observation incomplete.
    With --against, of what the revision introduces, and 3 where it wants other
    destructive or disruptive work, whether or not anything was observed.
    """  # noqa: D301 - \b keeps click from reflowing the list
    from reconciler.app.project import Project, utc_now  # noqa: PLC0415
    from reconciler.planning.plan import exit_code  # noqa: PLC0415

    now = utc_now()
    for note in project.notes:
        click.echo(note, err=True)
    if against is None:
        review = _Review(project, project.plan(now), None, "", explain=explain, full=full)
    else:
        from reconciler.app.review import (  # noqa: PLC0415 - slow to load
            behind_notice,
            branch_plan,
            compare_plans,
        )

        made = branch_plan(project, now)
        base = Project(project.repo, against, project.state)
        compared = compare_plans(base, project, made, now)
        if notice := behind_notice(base, project):
            click.echo(notice, err=True)
        review = _Review(project, made, compared, base.describe, explain=explain, full=full)
    for path in out:
        review.write(path)
    if output_format == "json" and project.notice:
        click.echo(project.notice, err=True)
    review.show(output_format, paged=not no_pager)
    return review.difference.exit_code if review.difference else exit_code(review.plan)


@dataclass(frozen=True, slots=True)
class _Review:
    """A plan, and what it changes against another one where that was asked for.

    Each form's module is loaded when it is asked for: a plan is looked at often, and in
    one form at a time.
    """

    project: "Project"
    plan: "Plan"
    difference: "Difference | None"
    base: str
    """The other plan's revision, for people."""
    explain: bool
    full: bool

    def show(self, output_format: str, *, paged: bool) -> None:
        """Print it. ReconcilerError RW921 for a page of a difference, which there is not."""
        if output_format == "text":
            from reconciler.views.console import console, show  # noqa: PLC0415

            show(console(), self._text(), paged=paged)
        elif output_format == "json" and self.difference:
            from reconciler.views.difference_text import difference_document  # noqa: PLC0415

            click.echo(dumps(difference_document(self.difference, self.project.notice), indent=2))
        elif output_format == "html" and self.difference:
            raise ReconcilerError(
                "RW921",
                "--format html shows one plan, and --against compares two",
                "Use --format text, markdown or json with --against",
            )
        else:
            for part in self._parts(output_format):
                click.echo(part, nl=False)

    def write(self, path: Path) -> None:
        """Write it to a file: Markdown to ``.md``, HTML to ``.html``, else JSON for ``apply``.

        JSON and HTML are of the plan, also where two are compared: they are what is
        carried out and looked up.
        """
        form = {".md": "markdown", ".html": "html"}.get(path.suffix, "json")
        from reconciler.cli.edited_file import write_output  # noqa: PLC0415 - slow to load

        write_output(path, (part.encode() for part in self._parts(form)))

    def _text(self) -> "RenderableType":
        now, describe = self.plan.made_at, self.project.announcement
        if self.difference:
            from reconciler.views.difference_text import difference_text  # noqa: PLC0415

            return difference_text(self.difference, describe, self.base, now, full=self.full)
        from reconciler.views.plan_text import plan_text  # noqa: PLC0415

        return plan_text(self.plan, describe, now, full=self.full, explain=self.explain)

    def _parts(self, form: str) -> Iterator[str]:
        now, describe = self.plan.made_at, self.project.announcement
        if form == "markdown" and self.difference:
            from reconciler.views.difference_text import difference_markdown  # noqa: PLC0415

            yield difference_markdown(self.difference, describe, self.base, now)
        elif form == "markdown":
            from reconciler.views.plan_markdown import plan_markdown  # noqa: PLC0415

            yield plan_markdown(self.plan, describe, now, explain=self.explain)
        elif form == "html":
            from reconciler.views.plan_html import plan_html  # noqa: PLC0415

            yield from (f"{line}\n" for line in plan_html(self.plan, describe, now))
        else:
            from reconciler.views.plan_json import plan_document  # noqa: PLC0415

            yield dumps(plan_document(self.plan, self.project.notice), indent=2) + "\n"
