"""Where a plan goes: to the terminal, or to standard output in one of its forms."""

from json import dumps

import click

from reconciler.errors import ReconcilerError
from reconciler.planning.difference import Difference
from reconciler.planning.plan import Plan
from reconciler.rendering.console import console
from reconciler.rendering.difference_text import (
    difference_document,
    difference_markdown,
    difference_text,
)
from reconciler.rendering.pager import show
from reconciler.rendering.plan_html import plan_html
from reconciler.rendering.plan_json import plan_document
from reconciler.rendering.plan_markdown import plan_markdown
from reconciler.rendering.plan_text import plan_text


def print_plan(  # noqa: PLR0913 - one argument per option
    plan: Plan, describe: str, output_format: str, *, explain: bool, full: bool, paged: bool
) -> None:
    """Print a plan in ``output_format``. ``describe`` says which revision it is, for people."""
    match output_format:
        case "json":
            click.echo(dumps(plan_document(plan), indent=2))
        case "markdown":
            click.echo(plan_markdown(plan, describe, plan.made_at, explain=explain), nl=False)
        case "html":
            for line in plan_html(plan, describe, plan.made_at):
                click.echo(line)
        case _:
            text = plan_text(plan, describe, plan.made_at, full=full, explain=explain)
            show(console(), text, paged=paged)


def print_difference(
    made: Difference, revisions: tuple[str, str], output_format: str, *, full: bool, paged: bool
) -> None:
    """Print what the first of the ``revisions`` changes against the second.

    ReconcilerError RW921 for a form that shows one plan only.
    """
    now = made.ours.made_at
    match output_format:
        case "json":
            click.echo(dumps(difference_document(made), indent=2))
        case "markdown":
            click.echo(difference_markdown(made, *revisions, now), nl=False)
        case "html":
            raise ReconcilerError(
                "RW921",
                "--format html shows one plan, and --against compares two",
                "Use --format text, markdown or json with --against",
            )
        case _:
            show(console(), difference_text(made, *revisions, now, full=full), paged=paged)
