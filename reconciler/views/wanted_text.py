"""What a branch changes of what is wanted, in every form. Plain text is escaped by each form."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from reconciler.planning.causes import PLENTY, Cause, SettingChange
from reconciler.planning.changed_values import ChangedValue
from reconciler.planning.difference import FieldChange, WantedDifference
from reconciler.views import plan_words as words
from reconciler.views.plan_markdown import safe
from reconciler.views.plan_text import COLOURS
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted

HEADING = "What the branch changes of what is wanted"
SETTINGS = "Settings that differ"
FIELDS = "Effective fields that differ"
NO_CAUSE = "no line that the branch changed explains it"
SAME = "The same work is wanted of every machine."
UNDER_OTHER_SETTINGS = "The same work is wanted of every machine, under other settings."
_CAUSES = 7
"""With three lines each, half a screen."""
_NAMES = 4


def verdict(wanted: WantedDifference) -> str:
    """Return on how many machines other work of each class is wanted."""
    counts = " · ".join(f"{risk} {count:,}" for risk, count in wanted.counts.items())
    disks = f" · {counted(wanted.disks, 'disk')} to be overwritten" if wanted.disks else ""
    return f"Wanted: {counts}{disks}"


def wanted_lines(wanted: WantedDifference, *, full: bool) -> Iterator[RenderableType]:
    """Yield the causes for a terminal."""
    shown = wanted.causes if full else wanted.causes[:_CAUSES]
    for each in shown:
        heading = Text(str(each.risk), style=COLOURS[each.risk])
        heading.append(f"  {for_terminal(_subject(each))}", style="bold")
        yield heading
        for line in _details(each):
            yield Text(f"  {for_terminal(line)}", no_wrap=True, overflow="ellipsis")
    if len(shown) < len(wanted.causes):
        left = wanted.causes[len(shown) :]
        machines = counted(sum(each.count for each in left), "machine")
        causes = counted(len(left), "more cause")
        yield Text(f"And {causes} for {machines}: `--full` shows them.", style="dim")


def wanted_text(
    wanted: WantedDifference, describe: str, base: str, *, full: bool = False
) -> RenderableType:
    """Return the comparison of two revisions for a terminal; both are named for people."""
    limit = None if full else words.SHOWN
    lines: list[RenderableType] = [Text(verdict(wanted), style="bold"), title(describe, base)]
    if wanted.empty:
        return Group(*lines, Text("Nothing: both mean the same."))
    lines += [Text(), *wanted_lines(wanted, full=full)] if wanted.causes else [Text(same(wanted))]
    for heading, sentences in wanted_sections(wanted, limit):
        lines += [Text(), Text(heading, style="bold")]
        lines += [Text(f"  {for_terminal(sentence)}") for sentence in sentences]
    return Group(*lines)


def same(wanted: WantedDifference) -> str:
    """Return that no other work is wanted, and whether something differs besides."""
    return UNDER_OTHER_SETTINGS if wanted.settings else SAME


def title(describe: str, base: str) -> Text:
    """Return which two revisions are compared."""
    return Text(for_terminal(f"What {describe} changes against {base}"), style="bold")


def wanted_markdown(wanted: WantedDifference) -> list[str]:
    """Return the causes as lines of a comment."""
    if not wanted.causes:
        return []
    lines = ["", f"**{HEADING}**", "", "| class | machines | disks | because of | wanted |"]
    lines.append("|---|---|---|---|---|")
    for each in wanted.causes[: words.SHOWN * 2]:
        cells = [
            f"**{each.risk}**",
            f"**{each.count:,}**: {safe(words.some_names(each, _NAMES))}",
            f"{each.disks:,}" if each.disks else "",
            safe(f"{_places(each)} {_says(each)}"),
            safe(f"{each.before} → {each.after}{_idle(each)}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    left = wanted.causes[words.SHOWN * 2 :]
    if left:
        lines += ["", f"And {counted(len(left), 'more cause')}: see the full comparison."]
    return lines


def wanted_sections(wanted: WantedDifference, limit: int | None) -> Iterator[tuple[str, list[str]]]:
    """Yield what else differs, as headings with sentences."""
    if wanted.settings:
        yield SETTINGS, words.some([_setting(each) for each in wanted.settings], limit)
    if wanted.fields:
        yield FIELDS, words.some([_field(each) for each in wanted.fields], limit)


def wanted_document(wanted: WantedDifference) -> dict[str, Any]:
    """Return the comparison as JSON data."""
    return {
        "wanted": {str(risk): count for risk, count in wanted.counts.items()},
        "disks": wanted.disks,
        "causes": [_cause_document(each) for each in wanted.causes],
        "settings": [
            {**_change_document(each.change), "machines": each.machines} for each in wanted.settings
        ],
        "fields": [
            {
                "field": each.field,
                "before": each.before,
                "after": each.after,
                "machines": each.count,
                "names": list(each.names),
                "because": _change_document(each.change) if each.change else None,
            }
            for each in wanted.fields
        ],
    }


def _subject(cause: Cause) -> str:
    parts = [counted(cause.count, "machine")]
    if cause.disks:
        parts.append(counted(cause.disks, "disk"))
    return " · ".join([*parts, _places(cause)])


def _details(cause: Cause) -> Iterator[str]:
    if said := _says(cause):
        yield said
    yield f"wanted: {cause.before} → {cause.after}"
    yield f"{words.some_names(cause, _NAMES)}{_idle(cause)}"


def _places(cause: Cause) -> str:
    if cause.change is None:
        return NO_CAUSE
    others = len(cause.places) - 1 + cause.more_places
    more = f" and {counted(others, 'more place')}" if others else ""
    if cause.is_exact:
        return f"{_place(cause.change)}{more}"
    at = "" if cause.change.is_removed else "at "
    return f"{NO_CAUSE}; the nearest change is {at}{_place(cause.change)}{more}"


def _place(change: ChangedValue) -> str:
    removed = f"removed at {change.position} of the base"
    return removed if change.is_removed else str(change.position)


def _says(cause: Cause) -> str:
    change = cause.change
    if change is None:
        return ""
    is_one = cause.count == 1 if change.kind == "Machine" else len(cause.places) == 1
    if change.kind not in PLENTY or is_one:
        return f"{change.document} {change.says}"
    return change.says if change.path else f"the document {change.says}"


def _idle(cause: Cause) -> str:
    if not cause.idle or cause.risk == "SAFE":
        return ""
    done = f"{cause.idle:,} of them are" if cause.follows else "all are"
    return f" ({'it is' if cause.count == 1 else done} done already: nothing begins there)"


def _setting(setting: SettingChange) -> str:
    change = setting.change
    reach = f" · {counted(setting.machines, 'machine')}" if setting.machines else ""
    return f"{_place(change)} {change.document} {change.says}{reach}"


def _field(each: FieldChange) -> str:
    machines = counted(each.count, "machine")
    place = f" · {_place(each.change)}" if each.change else ""
    names = words.some_names(each)
    return f"{each.field}: {each.before} → {each.after} · {machines}: {names}{place}"


def _cause_document(cause: Cause) -> dict[str, Any]:
    return {
        "class": str(cause.risk),
        "because": _change_document(cause.change) if cause.change else None,
        "exact": cause.is_exact and cause.change is not None,
        "places": [str(each) for each in cause.places],
        "morePlaces": cause.more_places,
        "before": cause.before,
        "after": cause.after,
        "machines": cause.count,
        "done": cause.idle,
        "disks": cause.disks,
        "names": list(cause.names),
    }


def _change_document(change: ChangedValue) -> dict[str, Any]:
    file, line, column = change.position
    return {
        "kind": change.kind,
        "name": change.name,
        "path": change.shown,
        "file": file,
        "line": line,
        "column": column,
        "removed": change.is_removed,
        "before": change.before,
        "after": change.after,
    }
