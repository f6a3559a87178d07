"""The plan as a comment on a pull request: bounded, summarized, and found again by its marker."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from reconciler.planning.item import PlanItem
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
_LONGEST = 240
"""Characters of one text of the repository or of a machine."""


def plan_markdown(plan: Plan, describe: str, now: datetime, *, explain: bool = False) -> str:
    """Return at most ``MAX_CHARACTERS`` of Markdown that GitHub and GitLab render.

    ``describe`` says which revision it is, for people. ``explain`` adds what would
    unblock each blocked item.
    """
    said = [*words.agreement(plan), *map(for_markdown, words.conditions(plan))]
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
) -> str:
    """Return the comment between ``about`` and ``foot``, both Markdown, as full as it fits.

    ``nothing`` is what an empty plan says.
    """
    for rows, items in _LEVELS:
        lines = _head(plan, about, nothing)
        for row in summarize(plan.groups, rows):
            lines += _row(row, now, items, explain=explain)
        text = "\n".join([*lines, *foot, ""])
        if len(text) <= MAX_CHARACTERS:
            return text
    lines = [*_head(plan, about, nothing), "", "The details do not fit here: see the full plan."]
    return "\n".join([*lines, *foot, ""])


def safe(text: str) -> str:
    """Return untrusted text, shortened and escaped for Markdown and the HTML within it."""
    return for_markdown(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _head(plan: Plan, about: str, nothing: str) -> list[str]:
    counts = plan.counts.items()
    verdict = (f"**{risk} {count:,}**" if count else f"{risk} 0" for risk, count in counts)
    wiped = words.wiped(plan)
    lines = [MARKER, f"### Rackwright: {' · '.join(verdict)}", ""]
    lines.append(f"**{wiped}** · {about}" if wiped else about)
    return [*lines, "", nothing] if plan.empty else lines


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
    yield f"- because of {safe(words.causes(row))}"
    yield f"- {words.seen(row, now)}"
    if row.slowest_seconds:
        yield f"- each {words.effort(row.bytes_to_move // row.count, row.slowest_seconds)}"
    shown = list(islice((item for each in row.members for item in each.items), limit))
    if shown:
        yield ""
        yield from _disk_table(shown, now) if row.disks else _table(shown, now)
    if len(shown) < row.count:
        yield ""
        more = "more " if shown else ""
        yield f"{row.count - len(shown):,} {more}not listed here: see the full plan."
    yield ""
    yield "</details>"


def _disk_table(items: list[PlanItem], now: datetime) -> Iterator[str]:
    yield "| machine | overwrites | last backup | image | leaves alone |"
    yield "|---|---|---|---|---|"
    for item in items:
        for disk, image in zip(item.disks, item.images, strict=False):
            backup = words.backup(disk, now)
            yield _cells(
                f"**{safe(item.title)}**",
                safe(words.disk(disk, now)),
                f"**{safe(backup)}**" if disk.lost else safe(backup),
                safe(words.image(image, now)),
                safe(words.spared(item)),
            )


def _table(items: list[PlanItem], now: datetime) -> Iterator[str]:
    yield "| machine | why | last heard |"
    yield "|---|---|---|"
    for item in items:
        heard = ago(item.observed_at, now) if item.machine else "-"
        yield _cells(f"**{safe(item.title)}**", safe(item.reason), heard)


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
