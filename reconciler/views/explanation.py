"""Where values come from, as a terminal and as programs read it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from reconciler.authoring.document_explanation import ExplainedDocument, Use
from reconciler.authoring.explanation import ExplainedField
from reconciler.planning.schedules import Occurrence
from reconciler.views.schedule_words import when
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.diagnostic import Diagnostic
from specs.diagnostics.position import Position
from specs.diagnostics.quote import counted
from specs.fleet import CompiledMachine, CompiledSchedule
from specs.types.display_name import named

SHOWN_NAMES = 5
SHOWN_USES = 20
MOST_FIELDS = 400
LONGEST = 300
"""Characters of a value that a terminal shows."""
_SHORT = 20
"""Characters of a revision that are shown: enough to tell commits and working trees apart."""


def machine_lines(
    machine: CompiledMachine, revision: str, fields: Sequence[ExplainedField]
) -> Iterator[str]:
    """Yield a machine's values, each with its place below it."""
    title = named(for_terminal(machine.display_name), f"machine/{machine.name}")
    yield f"{title} in {revision[:_SHORT]}"
    yield from _field_lines(fields)


class Timetable(NamedTuple):
    """What else is told of a schedule."""

    schedule: CompiledSchedule
    times: Sequence[Occurrence]
    """The next ones."""
    warnings: Sequence[Diagnostic]


def document_lines(
    found: ExplainedDocument, revision: str, timetable: Timetable | None, now: datetime
) -> Iterator[str]:
    """Yield a document's values with their places, then who uses it."""
    yield from _title(found, revision)
    yield from _field_lines(found.fields)
    if timetable is not None:
        yield from _time_lines(timetable, now)
    yield from _use_lines(found)


def field_lines(found: ExplainedDocument, revision: str) -> Iterator[str]:
    """Yield a document's values alone."""
    yield from _title(found, revision)
    yield from _field_lines(found.fields)


def _title(found: ExplainedDocument, revision: str) -> Iterator[str]:
    title = named(for_terminal(found.display_name), subject_of(found.kind, found.name))
    place = str(found.position) if found.position else "in no document: what holds without one"
    yield f"{title} in {revision[:_SHORT]}, {for_terminal(place)}"
    if found.no_effect:
        yield f"nothing acts on it yet: {for_terminal(found.no_effect)}"


def subject_of(kind: str, name: str) -> str:
    """Return how a document is asked for: ``group/tokyo/row2``."""
    return f"{kind.lower()}/{name}"


def _field_lines(fields: Sequence[ExplainedField]) -> Iterator[str]:
    shown = fields[:MOST_FIELDS]
    width = max((len(for_terminal(each.field)) for each in shown), default=0)
    for each in shown:
        place = ", ".join(filter(None, (str(each.position or ""), each.reason)))
        value = for_terminal(named(each.display_name, each.value))
        if len(value) > LONGEST:
            value = f"{value[:LONGEST]}…"
        yield f"  {for_terminal(each.field):<{width}}  {value}".rstrip()
        yield f"  {'':<{width}}  └ {for_terminal(place)}"
    if len(fields) > len(shown):
        yield f"  and {len(fields) - len(shown):,} more: --format json has all"


def _time_lines(timetable: Timetable, now: datetime) -> Iterator[str]:
    label = "next"
    for each in timetable.times:
        left_out = f"  left out: {each.left_out}" if each.left_out else ""
        yield f"{label}  {when(timetable.schedule, each.moment, now)}{left_out}"
        label = "    "
    if not timetable.times:
        yield "next  never"
    for warning in timetable.warnings:
        yield for_terminal(f"warning: {warning.code} {warning.message}")


def _use_lines(found: ExplainedDocument) -> Iterator[str]:
    count = len(found.machines)
    some = ", ".join(found.machines[:SHOWN_NAMES])
    more = f" and {count - SHOWN_NAMES:,} more" if count > SHOWN_NAMES else ""
    yield f"{counted(count, 'machine')}: {some}{more}" if count else "no machine"
    if not found.uses:
        return
    yield "used by"
    for each in found.uses[:SHOWN_USES]:
        subject = for_terminal(subject_of(each.kind, each.name))
        about = f", {counted(each.machines, 'machine')}" if each.machines else ""
        yield f"  {subject}  {for_terminal(each.field)}{about}"
        yield f"    └ {for_terminal(str(each.position))}"
    left = len(found.uses) - SHOWN_USES
    if left > 0:
        yield f"  and {left:,} more: --format json has all"


def machine_document(
    machine: CompiledMachine, revision: str, fields: Sequence[ExplainedField]
) -> dict[str, Any]:
    """Return a machine's values as JSON data."""
    return {
        "machine": machine.name,
        "displayName": machine.display_name,
        "revision": revision,
        "fields": [_field(each) for each in fields],
    }


def document_document(
    found: ExplainedDocument, revision: str, timetable: Timetable | None
) -> dict[str, Any]:
    """Return a document as JSON data; times are in UTC."""
    document = {
        "kind": found.kind,
        "name": found.name,
        "displayName": found.display_name,
        "revision": revision,
        **_place(found.position),
        "noEffect": found.no_effect,
        "fields": [_field(each) for each in found.fields],
        "machines": list(found.machines),
        "usedBy": [_use(each) for each in found.uses],
    }
    if timetable is not None:
        document["next"] = [
            {"at": each.moment.isoformat(), "leftOut": each.left_out} for each in timetable.times
        ]
        document["warnings"] = [
            {"code": each.code.value, "message": each.message} for each in timetable.warnings
        ]
    return document


def _use(use: Use) -> dict[str, Any]:
    return {
        "kind": use.kind,
        "name": use.name,
        "field": use.field,
        **_place(use.position),
        "machines": use.machines,
    }


def _field(field: ExplainedField) -> dict[str, Any]:
    return {
        "field": field.field,
        "value": field.value,
        "displayName": field.display_name,
        **_place(field.position),
        "groups": list(field.groups),
        "reason": field.reason,
    }


def _place(position: Position | None) -> dict[str, Any]:
    return {
        "file": position.file if position else None,
        "line": position.line if position else None,
        "column": position.column if position else None,
    }
