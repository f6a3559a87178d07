"""Where a plan goes: to the terminal, to standard output, or to files.

Each form's module is loaded when it is asked for: a plan is looked at often, and in
one form at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reconciler.planning.difference import Difference
    from reconciler.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Review:
    """A plan, and what it changes against another one where that was asked for."""

    plan: "Plan"
    describe: str
    """The plan's revision for people, with the notice."""
    notice: str
    """What they should know of its acceptance; empty where it is usual."""
    difference: "Difference | None"
    base: str
    """The other plan's revision, for people."""
    explain: bool
    full: bool

    def show(self, output_format: str, *, paged: bool) -> None:
        """Print it. ReconcilerError RW921 for a page of a difference, which there is not."""
        if output_format == "text":
            from reconciler.views.console import console  # noqa: PLC0415
            from reconciler.views.pager import show  # noqa: PLC0415

            show(console(), self._text(), paged=paged)
        elif output_format == "json" and self.difference:
            from reconciler.views.difference_text import difference_document  # noqa: PLC0415

            click.echo(dumps(difference_document(self.difference, self.notice), indent=2))
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
        now = self.plan.made_at
        if self.difference:
            from reconciler.views.difference_text import difference_text  # noqa: PLC0415

            return difference_text(self.difference, self.describe, self.base, now, full=self.full)
        from reconciler.views.plan_text import plan_text  # noqa: PLC0415

        return plan_text(self.plan, self.describe, now, full=self.full, explain=self.explain)

    def _parts(self, form: str) -> Iterator[str]:
        now = self.plan.made_at
        if form == "markdown" and self.difference:
            from reconciler.views.difference_text import difference_markdown  # noqa: PLC0415

            yield difference_markdown(self.difference, self.describe, self.base, now)
        elif form == "markdown":
            from reconciler.views.plan_markdown import plan_markdown  # noqa: PLC0415

            yield plan_markdown(self.plan, self.describe, now, explain=self.explain)
        elif form == "html":
            from reconciler.views.plan_html import plan_html  # noqa: PLC0415

            yield from (f"{line}\n" for line in plan_html(self.plan, self.describe, now))
        else:
            from reconciler.views.plan_json import plan_document  # noqa: PLC0415

            yield dumps(plan_document(self.plan, self.notice), indent=2) + "\n"
