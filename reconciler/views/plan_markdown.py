"""The plan as a comment on a pull request: bounded, summarized, and found again by its marker."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import Plan
from reconciler.planning.summary import SummaryRow, summarize
from reconciler.views import plan_words as words
from reconciler.views.age import ago
from reconciler.views.untrusted import for_markdown

MARKER = "<!-- rackwright-plan -->"
"""First line of the comment: by it a pipeline finds its one comment again."""
MAX_CHARACTERS = 60_000
"""GitHub takes 65,536 in a comment; a pipeline may add a few lines of its own."""
_LEVELS = ((40, 60), (40, 12), (20, 4), (8, 2), (5, 1), (5, 0))
"""Rows, and items of each row, from generous to tight: the first level that fits is shown."""
_ONE_BY_ONE = 12
"""So many disks of a row are named by their serials; of more, equal ones share a line."""
_LONGEST = 240
"""Characters of one text of the repository or of a machine."""


def plan_markdown(plan: Plan, describe: str, now: datetime, *, explain: bool = False) -> str:
    """Return at most ``MAX_CHARACTERS`` of Markdown that GitHub and GitLab render.

    ``describe`` says which revision it is, for people. ``explain`` adds what would
    unblock each blocked item.
    """
    said = [*words.agreement(plan), *map(for_markdown, words.conditions(plan))]
    said += map(for_markdown, words.remarks(plan))
    foot = [line for sentence in said for line in ("", sentence)]
    about = f"{safe(describe)} · plan `{plan.digest[: words.SHORT]}`"
    return bounded(plan, about, foot, now, explain=explain)


def bounded(  # noqa: PLR0913 - the parts of a comment
    plan: Plan,
    about: str,
    foot: list[str],
    now: datetime,
    *,
    explain: bool = False,
    nothing: str = words.NOTHING,
    lead: Sequence[str] = (),
    verdict: str = "",
) -> str:
    """Return the comment between ``about`` and ``foot``, both Markdown, as full as it fits.

    ``nothing`` is what an empty plan says; ``lead`` comes before its rows, and ``verdict``
    stands in the place of its counts.
    """
    head = [*_head(plan, about, verdict or counts(plan.counts)), *lead]
    if plan.empty and nothing:
        head += ["", nothing]
    for rows, items in _LEVELS:
        lines = [*head]
        for row in summarize(plan.groups, rows):
            lines += _row(row, now, items, explain=explain)
        text = "\n".join([*lines, *foot, ""])
        if len(text) <= MAX_CHARACTERS:
            return text
    lines = [*head, "", "The details do not fit here: see the full plan."]
    return "\n".join([*lines, *foot, ""])


def safe(text: str) -> str:
    """Return untrusted text, shortened and escaped for Markdown and the HTML within it."""
    return for_markdown(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def counts(numbers: Mapping[Risk, int]) -> str:
    """Return every risk with its count, in bold where there is any."""
    said = numbers.items()
    return " · ".join(f"**{risk} {count:,}**" if count else f"{risk} 0" for risk, count in said)


def _head(plan: Plan, about: str, verdict: str) -> list[str]:
    wiped = words.wiped(plan)
    lines = [MARKER, f"### Rackwright: {verdict}", ""]
    lines.append(f"**{wiped}** · {about}" if wiped else about)
    return lines


def _row(row: SummaryRow, now: datetime, limit: int, *, explain: bool) -> Iterator[str]:
    yield ""
    yield f"<details><summary><b>{row.risk}</b> · {safe(words.title(row))}</summary>"
    yield ""
    for reason in row.reasons if explain else row.reasons[:3]:
        share = f"{reason.count:,} with: " if reason.count < row.count else ""
        example = "for example, " if reason.wordings > 1 else ""
        yield f"- {share}{example}{safe(reason.text)}"
        if explain and reason.unblock:
            yield f"  - to unblock: {safe(reason.unblock)}"
    if row.warned:
        yield f"- **{safe(words.warning(row))}**"
    yield f"- because of {safe(words.causes(row))}"
    yield f"- {words.seen(row, now)}"
    if row.slowest_seconds:
        yield f"- each {words.effort(row.bytes_to_move // row.count, row.slowest_seconds)}"
    items = (item for each in row.members for item in each.items)
    if row.disks:
        is_few = row.disks <= _ONE_BY_ONE
        kinds = words.each_disk(items) if is_few else words.equal_disks(items, now)
        yield from _disk_table(kinds, limit, now)
    else:
        yield from _table(list(islice(items, limit)), row.count, now)
    yield ""
    yield "</details>"


def _disk_table(kinds: Sequence[words.EqualDisks], limit: int, now: datetime) -> Iterator[str]:
    if limit:
        yield ""
        yield "| machine | overwrites | last backup | image | leaves alone |"
        yield "|---|---|---|---|---|"
    for kind in kinds[:limit]:
        is_one = kind.number == 1
        more = "" if is_one else f" and {kind.number - 1:,} more"
        said = words.disk(kind.disk, now) if is_one else words.equal_disk(kind.disk, now)
        backup = words.backup(kind.disk, now)
        yield _cells(
            f"**{safe(kind.first.title)}**{more}",
            safe(said),
            f"**{safe(backup)}**" if kind.disk.lost else safe(backup),
            safe(words.image_as_written(kind.image, now)),
            safe(words.spared(kind.first)),
        )
    yield from _not_listed(sum(kind.number for kind in kinds[limit:]), limit)


def _table(items: list[PlanItem], count: int, now: datetime) -> Iterator[str]:
    if items:
        yield ""
        yield "| machine | why | last heard |"
        yield "|---|---|---|"
    for item in items:
        heard = ago(item.observed_at, now) if item.machine else "-"
        yield _cells(f"**{safe(item.title)}**", safe(item.reason), heard)
    yield from _not_listed(count - len(items), len(items))


def _not_listed(left: int, shown: int) -> Iterator[str]:
    if left:
        yield ""
        yield f"{left:,} {'more ' if shown else ''}not listed here: see the full plan."


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
