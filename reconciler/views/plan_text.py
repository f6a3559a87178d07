"""The plan as a terminal shows it: verdict first, largest risk first."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import Plan
from reconciler.planning.rollouts import WavePlace, wave_places
from reconciler.planning.summary import SummaryRow, summarize
from reconciler.views import plan_words as words
from reconciler.views.age import ago
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted

COLOURS = {
    Risk.DESTRUCTIVE: "bold red",
    Risk.DISRUPTIVE: "yellow",
    Risk.SAFE: "green",
    Risk.BLOCKED: "magenta",
    Risk.UNKNOWN: "cyan",
}
IN_DETAIL = 12
"""A plan of so few items is shown item by item, whatever its screen."""
ROWS = 8
"""Rows of a larger plan: with their lines they fill one screen."""
DETAILS_BESIDE_ROWS = 2
"""Items of a larger plan that are nevertheless shown in full: those of the largest risk."""
SCREEN = 50
"""Lines that a large plan should take; what its rows leave is for naming disks."""
_FRAME, _ROW = 7, 6
"""Lines around the rows, and of a row that names one disk, with its blank one."""
_DETAIL_INDENT = 4
_COLOURED = frozenset({"backup", "warning"})
"""Details whose text has the colour of their label."""


def verdict(plan: Plan) -> Text:
    """Return the verdict line: every risk with its count."""
    parts = [
        Text(f"{risk} {count:,}", style=COLOURS[risk] if count else "dim")
        for risk, count in plan.counts.items()
    ]
    return Text(" · ").join(parts)


def plan_text(  # noqa: PLR0913 - the parts of the screen
    plan: Plan,
    describe: str,
    now: datetime,
    *,
    full: bool = False,
    explain: bool = False,
    command: str = "apply",
) -> RenderableType:
    """Return the plan, summarized to about a screen; ``full`` shows every item of it.

    ``describe`` says which revision it is, for people. ``explain`` adds what would
    unblock each blocked item. ``command`` asks for the approval.
    """
    title = _plain(f"{describe} · plan {plan.digest[: words.SHORT]}", "dim")
    remarks = [
        _plain(each, "yellow" if each.startswith("warning") else "") for each in words.remarks(plan)
    ]
    if plan.empty:
        return Group(verdict(plan), title, *remarks, Text(words.NOTHING))
    lines: list[RenderableType] = [verdict(plan), title, *remarks]
    lines += plan_lines(plan, now, full=full, explain=explain)
    lines += [Text(), *(_plain(sentence) for sentence in words.approval(plan, command))]
    return Group(*lines)


def plan_lines(plan: Plan, now: datetime, *, full: bool, explain: bool) -> list[RenderableType]:
    """Return what stands between a plan's verdict and what has to be approved."""
    lines: list[RenderableType] = []
    if wiped := words.wiped(plan):
        lines.append(_plain(wiped, "bold red"))
    total = sum(each.count for each in plan.groups)
    places = wave_places(plan.rollouts)
    everything = full or total <= IN_DETAIL
    left = total if everything else DETAILS_BESIDE_ROWS
    rows = summarize(plan.groups, len(plan.groups) if everything else ROWS)
    named = _named_disks(rows)
    for row in rows:
        lines += [Text(), _heading(row)]
        if len(row.members) == 1 and row.count <= left:
            left -= row.count
            items = row.members[0].items
            lines += [_item(item, plan, now, places, explain=explain) for item in items]
        else:
            lines += _summary(row, now, named, explain=explain)
    if not everything:
        lines += [Text(), Text("Summarized: `--full` shows every machine.", style="dim")]
    return lines


def _plain(text: str, style: str = "") -> Text:
    return Text(for_terminal(text), style=style)


def _heading(row: SummaryRow) -> Text:
    heading = Text(str(row.risk), style=COLOURS[row.risk])
    heading.append(f"  {for_terminal(words.title(row))}", style="bold")
    return heading


def _named_disks(rows: Sequence[SummaryRow]) -> int:
    """Return how many machines each row may name whose disks it overwrites."""
    destructive = sum(1 for row in rows if row.disks)
    spare = SCREEN - _FRAME - _ROW * len(rows)
    return 1 + max(0, spare // destructive) if destructive else 0


def _summary(
    row: SummaryRow, now: datetime, named: int, *, explain: bool
) -> Iterator[RenderableType]:
    """Yield the lines of a row whose items are not shown, each cut at the screen's edge."""
    yield from _reasons(row, explain=explain)
    if row.warned:
        yield _cut(f"  {words.warning(row)}", "yellow")
    images = f" · {', '.join(row.images)}" if row.images else ""
    yield _cut(f"  because of {words.causes(row)}{images}")
    if not row.disks:
        yield _cut(f"  {words.seen(row, now)}: {words.some_names(row)}", "dim")
        return
    each = words.effort(row.bytes_to_move // row.count, row.slowest_seconds)
    yield _cut(f"  {words.seen(row, now)} · each {each}")
    kinds = words.equal_disks((item for each in row.members for item in each.items), now)
    for kind in kinds[:named]:
        yield _cut(f"  {_disks(kind, now)}", "dim")
    if len(kinds) > named:
        left = sum(kind.number for kind in kinds[named:])
        yield _cut(f"  and {counted(left, 'disk')} more", "dim")


def _disks(kind: words.EqualDisks, now: datetime) -> str:
    lost = "" if kind.disk.backed_up else "no backup · "
    growth = words.growth(kind.image)
    grows = f" · grows {growth}" if growth else ""
    if kind.number == 1:
        return f"{kind.first.title}  {lost}{words.disk(kind.disk, now)}{grows}"
    like = f"{kind.first.title} and {kind.number - 1:,} more"
    return f"{like}  {lost}{words.equal_disk(kind.disk, now)}{grows}"


def _reasons(row: SummaryRow, *, explain: bool) -> Iterator[Text]:
    shown = row.reasons if explain else row.reasons[:1]
    for reason in shown:
        share = f"{reason.count:,} with: " if reason.count < row.count else ""
        if reason.wordings > 1:
            share += "for example, "
        text = f"  {share}{reason.text}"
        yield _plain(text) if explain else _cut(text)
        if explain and reason.unblock:
            yield _plain(f"      to unblock: {reason.unblock}", "magenta")
    others = row.count - sum(reason.count for reason in shown)
    if others:
        yield _cut(f"  {others:,} with other reasons", "dim")


def _cut(text: str, style: str = "") -> Text:
    return Text(for_terminal(text), style=style, no_wrap=True, overflow="ellipsis")


def _item(
    item: PlanItem, plan: Plan, now: datetime, places: Mapping[str, WavePlace], *, explain: bool
) -> RenderableType:
    head = Text(f"  {for_terminal(item.title)}", style="bold")
    head.append(f"  {for_terminal(item.reason)}", style="not bold")
    details = Table.grid(padding=(0, 2))
    details.add_column(style="dim", no_wrap=True)
    details.add_column(overflow="fold")
    for label, text, style in _details(item, plan, now):
        coloured = label in _COLOURED
        details.add_row(Text(label, style=style), _plain(text, style if coloured else ""))
    if item.disks and item.machine in places:
        details.add_row(Text("its turn"), _plain(str(places[item.machine])))
    if explain and item.unblock:
        details.add_row(Text("to unblock", style="magenta"), _plain(item.unblock))
    return Group(head, Padding(details, (0, 0, 0, _DETAIL_INDENT), expand=False))


def _details(item: PlanItem, plan: Plan, now: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield label, text and colour of what is known of an item."""
    for disk, image in zip(item.disks, item.images, strict=False):
        yield "overwrites", words.disk(disk, now), "red"
        yield "backup", words.backup(disk, now), "red" if disk.lost else ""
        yield "image", words.image(image, now), ""
        if larger := words.growth(image):
            yield "grows", larger, ""
    for warning in item.warnings:
        yield "warning", warning, "yellow"
    if item.disks:
        yield "moves", words.effort(item.bytes_to_move, item.seconds), ""
        yield "leaves alone", words.spared(item), ""
    if item.cause is not None:
        at = f" at {words.short(plan.revision)}" if item.cause.position.line else ""
        yield "because of", f"{words.cause(item.cause)}{at}", ""
    if not item.disks and item.machine:
        yield "last heard", ago(item.observed_at, now), ""
