"""``rackwright explain``: where a value comes from, what a code means."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from json import dumps
from typing import NamedTuple

import click

from reconciler.app.project import Project
from reconciler.authoring.explanation import ExplainedField, chosen, explained, find_machine
from reconciler.authoring.rewrite import AuthoringError
from reconciler.cli.options import format_option, project_options
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.nearest import NearestNames
from specs.types.display_name import named

PACKAGES = ("specs", "agent", "providers", "reconciler")
PAGE = "docs/reference/codes.md"
_MACHINE = "machine/"
_SHORT = 20
"""Characters of a revision that are shown: enough to tell commits and working trees apart."""


@click.command()
@click.argument("subject", metavar="machine/NAME|CODE")
@click.argument("field", required=False)
@project_options
@format_option
def explain(project: Project, subject: str, field: str | None, output_format: str) -> None:
    """Say where each value of a machine comes from, or what an error code means.

    Every value is shown with the file, line and column that it is written at and the
    groups that it was inherited along. FIELD picks one (network, labels.role) or all
    below a name (identity).

    \b
    Examples:
      rackwright explain machine/node-01
      rackwright explain machine/node-01 network
      rackwright explain machine/node-01 --ref HEAD~1 --format json
      rackwright explain RW141
    """  # noqa: D301 - \b keeps click from reflowing the list
    if not subject.startswith(_MACHINE):
        _explain_code(subject, output_format)
        return
    name = subject.removeprefix(_MACHINE)
    machine = find_machine(project.whole_fleet, name, project.uncommitted)
    fields = explained(project.whole_fleet, machine)
    if field is not None:
        fields = chosen(fields, field)
    if output_format == "json":
        document = {
            "machine": machine.name,
            "displayName": machine.display_name,
            "revision": project.source.revision,
            "fields": [_as_json(each) for each in fields],
        }
        click.echo(dumps(document, indent=2))
        return
    title = named(for_terminal(machine.display_name), f"machine/{machine.name}")
    click.echo(f"{title} in {project.source.revision[:_SHORT]}")
    width = max(len(each.field) for each in fields)
    for each in fields:
        place = f"{each.position}, {each.reason}" if each.position else each.reason
        value = for_terminal(named(each.display_name, each.value))
        click.echo(f"  {each.field:<{width}}  {value}")
        click.echo(f"  {'':<{width}}  └ {place}")


def _as_json(field: ExplainedField) -> dict[str, object]:
    place = field.position
    return {
        "field": field.field,
        "value": field.value,
        "displayName": field.display_name,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "groups": list(field.groups),
        "reason": field.reason,
    }


def _explain_code(text: str, output_format: str) -> None:
    entry = explain_code(text)
    if output_format == "json":
        click.echo(dumps(entry._asdict(), indent=2))
        return
    click.echo(f"{entry.code}: {entry.title}\n")
    for label, body in (("Cause", entry.cause), ("Action", entry.action)):
        click.echo(click.wrap_text(f"{label}: {body}", width=80, subsequent_indent="  "))


class CodeExplanation(NamedTuple):
    """One entry: what it is called, how it comes about, what to do."""

    code: str
    title: str
    cause: str
    action: str


def code_explanations() -> Mapping[str, CodeExplanation]:
    """Return every code with its explanation, in the order of the numbers.

    They are in a file ``codes.toml`` of each package, since a package may not import
    another one for an explanation, and since nothing else reads them.
    """
    found = {
        code: CodeExplanation(code, **entry)
        for package in PACKAGES
        for code, entry in tomllib.loads(
            files(package).joinpath("codes.toml").read_text("utf-8")
        ).items()
    }
    return dict(sorted(found.items()))


def explain_code(text: str) -> CodeExplanation:
    """Return the entry for a code in either case; AuthoringError RW935 with the nearest if none."""
    code = text.upper()
    explanations = code_explanations()
    if code in explanations:
        return explanations[code]
    if not code.startswith("RW"):
        raise AuthoringError(
            "RW935",
            f"{text!r} is neither a machine nor a code",
            f"Write machine/{text} for a machine, or a code such as RW141",
        )
    nearest = NearestNames().find(code, explanations)
    raise AuthoringError(
        "RW935",
        f"there is no code {code!r}",
        f"Did you mean {nearest} ({explanations[nearest].title})?"
        if nearest
        else f"{PAGE} lists all of them",
    )
