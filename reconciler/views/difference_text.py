"""What a branch changes, as a terminal and as a comment show it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from reconciler.planning.difference import Difference
from reconciler.planning.item import PlanItem
from reconciler.planning.summary import summarize
from reconciler.views import plan_words as words
from reconciler.views.plan_json import item_document
from reconciler.views.plan_markdown import bounded, counts, safe
from reconciler.views.plan_text import plan_lines, verdict
from reconciler.views.untrusted import for_terminal
from reconciler.views.wanted_text import (
    title,
    wanted_document,
    wanted_lines,
    wanted_markdown,
    wanted_sections,
)
from reconciler.views.wanted_text import verdict as wanted_verdict
from specs.diagnostics.quote import counted

FORMAT = "rackwright-plan-difference/1"
NO_MORE = "It introduces no work."
NOT_NOW = "Nothing else is planned, given what is known of machines now. It is wanted all the same."
_MOST_ERRORS = 10


def difference_text(
    made: Difference, describe: str, base: str, now: datetime, *, full: bool = False
) -> RenderableType:
    """Return what ``describe`` changes against ``base``; both name revisions for people."""
    wanted = made.wanted
    lines: list[RenderableType] = [title(describe, base)]
    if made.empty:
        return Group(*lines, Text("Nothing: both plan the same and mean the same machines."))
    if made.base_errors:
        lines.insert(0, verdict(made.introduced))
        lines.append(Text(for_terminal(_repaired(base)), style="bold"))
        lines += [Text(f"  {for_terminal(each)}") for each in _errors(made)]
    else:
        lines.insert(0, Text(wanted_verdict(wanted), style="bold"))
    if wanted.causes:
        lines += [Text(), *wanted_lines(wanted, full=full), Text()]
    if made.introduced.empty:
        lines.append(Text(NOT_NOW if wanted.exit_code else NO_MORE))
    else:
        lines += [Text("Introduced: ").append_text(verdict(made.introduced))]
        lines += plan_lines(made.introduced, now, full=full, explain=False)
    for heading, sentences in _sections(made, None if full else words.SHOWN):
        lines += [Text(), Text(heading, style="bold")]
        lines += [Text(f"  {for_terminal(sentence)}") for sentence in sentences]
    return Group(*lines)


def difference_markdown(made: Difference, describe: str, base: str, now: datetime) -> str:
    """Return the difference as one bounded comment, found again by the plan's marker."""
    about = f"introduced by {safe(describe)} against {safe(base)}"
    lead, heading = wanted_markdown(made.wanted), ""
    if made.wanted.causes:
        heading = f"wanted {counts(made.wanted.counts)}"
        lead += ["", f"**Planned now:** {counts(made.introduced.counts)}"]
    if made.base_errors:
        lead = ["", f"**{safe(_repaired(base))}**", "", *(f"- {safe(e)}" for e in _errors(made))]
    foot = []
    for about_it, sentences in _sections(made, words.SHOWN):
        foot += ["", f"**{about_it}**", "", *(f"- {safe(each)}" for each in sentences)]
    if made.empty:
        foot = ["", "Both plan the same and mean the same machines."]
    nothing = NOT_NOW if made.wanted.exit_code else NO_MORE
    return bounded(made.introduced, about, foot, now, nothing=nothing, lead=lead, verdict=heading)


def difference_document(made: Difference, notice: str = "") -> dict[str, Any]:
    """Return the difference as JSON data; items and ``notice`` as in the plan's JSON."""
    return {
        "format": FORMAT,
        "revision": made.introduced.revision,
        "notice": notice,
        "against": made.resolved.revision,
        "baseErrors": made.base_errors.splitlines(),
        "exitCode": made.exit_code,
        "verdict": words.verdict(made.introduced),
        **wanted_document(made.wanted),
        "introduced": [item_document(item, 0) for item in made.introduced.items],
        "resolved": [item_document(item, 0) for item in made.resolved.items],
        "changed": [
            {"before": item_document(before, 0), "after": item_document(after, 0)}
            for before, after in made.changed
        ],
    }


def _sections(made: Difference, limit: int | None) -> Iterator[tuple[str, list[str]]]:
    if made.changed:
        count = counted(len(made.changed), "item")
        yield f"Changed: {count}", words.some([_item_change(*each) for each in made.changed], limit)
    if not made.resolved.empty:
        rows = summarize(made.resolved.groups, limit or len(made.resolved.groups))
        sentences = [f"{row.risk} {words.title(row)}: {words.some_names(row)}" for row in rows]
        yield "Resolved: no longer planned", sentences
    yield from wanted_sections(made.wanted, limit)


def _repaired(base: str) -> str:
    return f"{base} has errors that this repairs, so all that is planned counts as introduced:"


def _errors(made: Difference) -> list[str]:
    return words.some(made.base_errors.splitlines(), _MOST_ERRORS)


def _item_change(before: PlanItem, after: PlanItem) -> str:
    return f"{after.title}: {before.risk} {before.reason} → {after.risk} {after.reason}"
