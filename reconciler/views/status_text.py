"""The fleet's state as a terminal shows it: counts first, and at most a screenful."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from reconciler.planning.conditions import (
    CONDITIONS,
    Condition,
    FleetStatus,
    MachineCondition,
    ScrubStatus,
    count_by_group,
)
from reconciler.views.age import ago, duration
from reconciler.views.reboot_locks import lock_line
from reconciler.views.rollout_text import status_line
from reconciler.views.schedule_words import more_upcoming, upcoming
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted
from specs.types.display_name import named

MOST_MACHINES = 40
"""Machines that are shown one by one; of more, only the most pressing are."""
MOST_GROUPS = 15
MOST_LOCKS = 3
"""Machines with the reboot lock that are shown."""
MOST_SCHEDULED = 3
"""Schedules whose next times are shown."""
MOST_PRESSING = 15
COLOURS = {"Ready": "green", "Reconciling": "yellow", "Stalled": "red", "Unknown": "cyan"}
HEADINGS = ("machine", "group", "condition", "since", "scenario", "last heard", "reason")
NARROW = 100
"""Columns below which a terminal has no room for all headings."""
SHOWN_WHEN_NARROW = frozenset({"machine", "condition", "last heard", "reason"})
GIVES_WAY = frozenset({"group", "scenario", "reason"})
MOST_OF_A_GROUP = 30
"""Columns of a group's name."""
_PRESSING = ("Stalled", "Unknown", "Reconciling")
_NARROW = "--full shows every machine; --condition, --group, --select and --search choose some"


def status_lines(status: FleetStatus, now: datetime, width: int) -> Iterator[RenderableType]:
    """Yield a screenful: the summary, then all machines, or groups and what is not Ready.

    ``width`` is the terminal's, in columns: a narrow one shows less of each machine.
    """
    yield from heading(status, now)
    states = status.machines
    if not states:
        return
    if len(states) <= MOST_MACHINES:
        yield machine_table(states, now, width)
        return
    yield _group_table(count_by_group(states, MOST_GROUPS))
    pressing = sorted(
        (state for state in states if state.condition != "Ready"),
        key=lambda state: _PRESSING.index(state.condition),
    )
    if pressing:
        yield machine_table(pressing[:MOST_PRESSING], now, width, cut=True)
    left = len(pressing) - MOST_PRESSING
    more = f"and {left:,} more that are not Ready. " if left > 0 else ""
    yield Text(more + _NARROW, style="dim")


def heading(status: FleetStatus, now: datetime) -> Iterator[RenderableType]:
    """Yield the summary, a line for each thing in the server that does not work, and approvals."""
    yield _summary_line(status)
    for breaker in status.breakers:
        text = f"RW651: no new work begins in {breaker.whose}: {breaker.cause}, "
        text += f"{ago(breaker.since, now)}. Find out why, then say `rackwright breaker reset"
        text += f"{f' {breaker.group}' if breaker.group else ''} --reason TEXT`"
        yield Text(for_terminal(text), style="bold red")
    for each in status.rollouts:
        style = "bold red" if each.rollout.state == "halted" else "yellow"
        yield Text(for_terminal(status_line(each, now)), style=style)
    yield from _locks(status, now)
    yield from _further(status, now)
    yield from _faults(status, now)
    for sentence in status.approvals:
        yield Text(for_terminal(sentence), style="yellow")
    yield from _scheduled(status, now)


def _further(status: FleetStatus, now: datetime) -> Iterator[Text]:
    also = " · ".join(f"{each} {number:,}" for each, number in status.further.items() if number)
    if also:
        yield Text(f"also: {also}", style="red")
    if status.inventories:
        yield Text(_inventory_line(status), style="dim")
    if status.scrub is not None:
        yield Text(_scrub_line(status.scrub, now), style="dim")


def _faults(status: FleetStatus, now: datetime) -> Iterator[Text]:
    for fault in status.faults:
        lasting = duration((now - fault.since).total_seconds())
        times = f", {fault.times:,} times" if fault.times > 1 else ""
        text = f"{fault.subject} {fault.code}: {fault.cause} (for {lasting}{times})"
        yield Text(for_terminal(text), style="red")


def _scheduled(status: FleetStatus, now: datetime) -> Iterator[RenderableType]:
    shown = [upcoming(each, now) for each in status.scheduled[:MOST_SCHEDULED]]
    if more := more_upcoming(status.scheduled, len(shown)):
        shown.append(more)
    if shown:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for index, line in enumerate(shown):
            table.add_row("" if index else "next", Text(for_terminal(line)))
        yield table


def _locks(status: FleetStatus, now: datetime) -> Iterator[Text]:
    """Yield which machines may restart by themselves, the oldest lock first."""
    for lock in status.reboot_locks[:MOST_LOCKS]:
        yield Text(for_terminal(f"may restart: {lock_line(lock, now)}"), style="yellow")
    left = len(status.reboot_locks) - MOST_LOCKS
    if left > 0:
        yield Text(f"and {left:,} more that may restart: `rackwright lock ls`", style="yellow")


def _summary_line(status: FleetStatus) -> Text:
    """Return ``3 machines · Ready 2 · Reconciling 0 · Stalled 1 · Unknown 0``."""
    line = Text(counted(status.total, "machine"), style="bold")
    for condition in CONDITIONS:
        number = status.counts[condition]
        style = f"not bold {COLOURS[condition]}" if number else "not bold dim"
        line.append(" · ", style="not bold dim").append(f"{condition} {number:,}", style=style)
    return line


def _scrub_line(scrub: ScrubStatus, now: datetime) -> str:
    """Return ``image store: scrubbed 3 d ago, undamaged · scrub at 41 % since 2 h``."""
    facts = []
    found = f"{counted(scrub.damages, 'damage')} found" if scrub.damages else "undamaged"
    if scrub.running_since is not None:
        lasting = duration((now - scrub.running_since).total_seconds())
        so_far = f", {found}" if scrub.damages else ""
        facts.append(f"scrub at {scrub.percent} %, for {lasting}{so_far}")
    if scrub.ended is not None:
        result = "" if scrub.running_since else f", {found}"
        facts.append(f"scrubbed {ago(scrub.ended, now)}{result}")
    return f"image store: {' · '.join(facts)}"


def scrub_document(scrub: ScrubStatus | None) -> dict[str, object] | None:
    """Return how the scrubs of the image store stand as JSON has it."""
    if scrub is None:
        return None
    since, ended = scrub.running_since, scrub.ended
    return {
        "runningSince": since and since.isoformat(),
        "percent": scrub.percent,
        "ended": ended and ended.isoformat(),
        "damages": scrub.damages,
    }


def _inventory_line(status: FleetStatus) -> str:
    """Return how many machines have updates to come and wait for a restart, as far as known."""
    heads = status.inventories.values()
    facts = [
        f"updates pending on {sum(bool(each.updates) for each in heads):,}",
        f"waiting for a restart {sum(bool(each.restart) for each in heads):,}",
        f"without an inventory {status.total - len(heads):,}",
    ]
    return " · ".join(facts)


def machine_table(
    states: Iterable[MachineCondition], now: datetime, width: int, *, cut: bool = False
) -> Table:
    """Return one row per machine; ``cut`` makes each a single line, else reasons are whole.

    Names are never cut: where there is no room, the reason, the group and the scenario are.
    """
    shown = [each for each in HEADINGS if width >= NARROW or each in SHOWN_WHEN_NARROW]
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in shown:
        most = MOST_OF_A_GROUP if heading == "group" else None
        # Rich takes room from the columns that may wrap, and only then from all.
        table.add_column(heading, no_wrap=heading not in GIVES_WAY, max_width=most)
    for state in states:
        cells = dict(zip(HEADINGS, _cells(state, now), strict=True))
        table.add_row(*(_cell(each, cells[each], state, cut=cut) for each in shown))
    return table


def _cell(heading: str, text: str, state: MachineCondition, *, cut: bool) -> Text:
    if heading == "machine" or (heading == "reason" and not cut):
        return Text(text, no_wrap=False, overflow="fold")
    style = COLOURS[state.condition] if heading == "condition" else ""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def full_lines(states: Sequence[MachineCondition], now: datetime) -> Iterator[str]:
    """Yield a heading and one line per machine, in columns, for tens of thousands."""
    rows = [HEADINGS, *(_cells(state, now) for state in states)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _cells(state: MachineCondition, now: datetime) -> tuple[str, ...]:
    return (
        for_terminal(named(state.display_name, state.machine)),
        for_terminal(named(state.group_display_name, state.group)) or "-",
        state.condition,
        ago(state.since, now) if state.since else "-",
        for_terminal(named(state.scenario_display_name, state.run)) or "-",
        ago(state.last_seen, now),
        for_terminal(state.reason),
    )


def _group_table(counts_by_group: Mapping[str, Mapping[Condition, int]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("group", overflow="ellipsis", no_wrap=True)
    table.add_column("machines", justify="right", no_wrap=True)
    for condition in CONDITIONS:
        table.add_column(condition, justify="right", no_wrap=True)
    for place, counts in counts_by_group.items():
        cells = (
            Text(f"{number:,}", style=COLOURS[condition] if number else "dim")
            for condition, number in counts.items()
        )
        table.add_row(Text(for_terminal(place)), Text(f"{sum(counts.values()):,}"), *cells)
    return table
