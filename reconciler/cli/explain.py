"""``rackwright explain``: where a value comes from, what a code means."""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from json import dumps
from typing import NamedTuple

import click

from reconciler.app.project import Project, utc_now
from reconciler.authoring.document_explanation import explain_document, find_kind
from reconciler.authoring.explanation import chosen, explained, find_machine
from reconciler.authoring.rewrite import AuthoringError
from reconciler.cli.options import format_option, project_options
from reconciler.planning.schedule_warnings import schedule_warnings
from reconciler.planning.schedules import upcoming
from reconciler.views.explanation import (
    Timetable,
    document_document,
    document_lines,
    field_lines,
    machine_document,
    machine_lines,
)
from specs.diagnostics.nearest import NearestNames
from specs.fleet import CompiledFleet
from specs.kinds import KINDS

PACKAGES = ("specs", "agent", "providers", "reconciler")
PAGE = "docs/reference/codes.md"
_TIMES = 5
"""Times of a schedule that are shown."""


@click.command()
@click.argument("subject", metavar="KIND/NAME|CODE")
@click.argument("field", required=False)
@project_options
@format_option
def explain(project: Project, subject: str, field: str | None, output_format: str) -> None:
    """Say where each value of a document comes from, or what an error code means.

    KIND is any kind of documents: machine, group, network, schedule and so on. Every value is
    shown with the file, line and column that it is written at and the groups that it was
    inherited along, then who uses the document. FIELD picks one value (network, labels.role) or
    all below a name (identity).

    \b
    Examples:
      rackwright explain machine/node-01
      rackwright explain machine/node-01 network
      rackwright explain group/tokyo/row2
      rackwright explain schedule/nightly --ref HEAD~1 --format json
      rackwright explain fleet budgets
      rackwright explain RW141
    """  # noqa: D301 - \b keeps click from reflowing the list
    kind, slash, name = subject.partition("/")
    if not slash and kind.casefold() not in {each.casefold() for each in KINDS}:
        _explain_code(subject, output_format)
        return
    kind = find_kind(kind)
    if kind == "Machine":
        _explain_machine(project, name, field, output_format)
    else:
        _explain_document(project, kind, name, field, output_format)


def _explain_machine(project: Project, name: str, field: str | None, output_format: str) -> None:
    notice = project.subfolder_notice
    machine = find_machine(project.whole_fleet, name, project.uncommitted, notice)
    fields = explained(project.whole_fleet, machine)
    if field is not None:
        fields = chosen(fields, field)
    revision = project.source.revision
    if output_format == "json":
        click.echo(dumps(machine_document(machine, revision, fields), indent=2))
        return
    for line in machine_lines(machine, revision, fields):
        click.echo(line)


def _explain_document(
    project: Project, kind: str, name: str, field: str | None, output_format: str
) -> None:
    fleet, now = project.whole_fleet, utc_now()
    remarks = [each for each in (project.uncommitted_notice, project.subfolder_notice) if each]
    found = explain_document(fleet, project.documents, kind, name, remarks)
    if field is not None:
        found = found._replace(fields=chosen(found.fields, field))
    revision = project.source.revision
    timetable = _timetable(fleet, name, now) if kind == "Schedule" else None
    if output_format == "json":
        click.echo(dumps(document_document(found, revision, timetable), indent=2))
        return
    lines = document_lines(found, revision, timetable, now)
    for line in lines if field is None else field_lines(found, revision):
        click.echo(line)


def _timetable(fleet: CompiledFleet, name: str, now: datetime) -> Timetable:
    schedule = fleet.schedules[name]
    warnings = schedule_warnings(fleet, fleet.machines.values(), {}, now)
    mine = [each for each in warnings if each.position == schedule.position]
    return Timetable(schedule, upcoming(schedule, now, _TIMES), mine)


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
            f"{text!r} is neither KIND/NAME nor a code",
            f"Write machine/{text} for a machine, another kind likewise, or a code such as RW141",
        )
    nearest = NearestNames().find(code, explanations)
    raise AuthoringError(
        "RW935",
        f"there is no code {code!r}",
        f"Did you mean {nearest} ({explanations[nearest].title})?"
        if nearest
        else f"{PAGE} lists all of them",
    )
