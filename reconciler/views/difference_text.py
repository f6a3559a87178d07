"""What a branch changes, as a terminal and as a comment show it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from reconciler.planning.difference import Difference, FieldChange
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import exit_code
from reconciler.planning.summary import summarize
from reconciler.views import plan_words as words
from reconciler.views.plan_json import item_document
from reconciler.views.plan_markdown import bounded, safe
from reconciler.views.plan_text import plan_lines, verdict
from reconciler.views.untrusted import for_terminal

FORMAT = "rackwright-plan-difference/1"
SHOWN = 10
"""Lines of resolved and changed work, and of fields."""


def difference_text(
    made: Difference, describe: str, base: str, now: datetime, *, full: bool = False
) -> RenderableType:
    """Return what ``describe`` changes against ``base``; both name revisions for people."""
    lines: list[RenderableType] = [
        Text(for_terminal(f"What {describe} changes against {base}"), style="bold")
    ]
    if made.empty:
        return Group(*lines, Text("Nothing: both plan the same and mean the same machines."))
    if made.introduced.empty:
        lines.append(Text("It introduces no work."))
    else:
        lines += [Text("Introduced: ").append_text(verdict(made.introduced))]
        lines += plan_lines(made.introduced, now, full=full, explain=False)
    limit = None if full else SHOWN
    for heading, sentences in _sections(made, limit):
        lines += [Text(), Text(heading, style="bold")]
        lines += [Text(f"  {for_terminal(sentence)}") for sentence in sentences]
    return Group(*lines)


def difference_markdown(made: Difference, describe: str, base: str, now: datetime) -> str:
    """Return the difference as one bounded comment, found again by the plan's marker."""
    about = f"introduced by {safe(describe)} against {safe(base)}"
    foot = []
    for heading, sentences in _sections(made, SHOWN):
        foot += ["", f"**{heading}**", "", *(f"- {safe(each)}" for each in sentences)]
    if made.empty:
        foot = ["", "Both plan the same and mean the same machines."]
    return bounded(made.introduced, about, foot, now, nothing="It introduces no work.")


def difference_document(made: Difference, notice: str = "") -> dict[str, Any]:
    """Return the difference as JSON data; items and ``notice`` as in the plan's JSON."""
    return {
        "format": FORMAT,
        "revision": made.introduced.revision,
        "notice": notice,
        "against": made.resolved.revision,
        "exitCode": exit_code(made.introduced),
        "verdict": words.verdict(made.introduced),
        "introduced": [item_document(item, 0) for item in made.introduced.items],
        "resolved": [item_document(item, 0) for item in made.resolved.items],
        "changed": [
            {"before": item_document(before, 0), "after": item_document(after, 0)}
            for before, after in made.changed
        ],
        "fields": [
            {
                "field": each.field,
                "before": each.before,
                "after": each.after,
                "machines": each.count,
                "names": list(each.names),
            }
            for each in made.fields
        ],
    }


def _sections(made: Difference, limit: int | None) -> Iterator[tuple[str, list[str]]]:
    if made.changed:
        count = words.counted(len(made.changed), "item")
        yield f"Changed: {count}", _some([_item_change(*each) for each in made.changed], limit)
    if not made.resolved.empty:
        rows = summarize(made.resolved.groups, limit or len(made.resolved.groups))
        sentences = [f"{row.risk} {words.title(row)}: {words.some_names(row)}" for row in rows]
        yield "Resolved: no longer planned", sentences
    if made.fields:
        yield "Effective fields that differ", _some([_field(each) for each in made.fields], limit)


def _some(sentences: list[str], limit: int | None) -> list[str]:
    if limit is None or len(sentences) <= limit:
        return sentences
    return [*sentences[:limit], f"and {len(sentences) - limit:,} more"]


def _item_change(before: PlanItem, after: PlanItem) -> str:
    return f"{after.title}: {before.risk} {before.reason} → {after.risk} {after.reason}"


def _field(each: FieldChange) -> str:
    machines = words.counted(each.count, "machine")
    names = words.some_names(each)
    return f"{each.field}: {each.before} → {each.after} · {machines}: {names}"
