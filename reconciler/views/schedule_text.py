"""Schedules as a terminal shows them. Times are those of the schedule's time zone."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reconciler.planning.schedules import Occurrence, shown_moment
from reconciler.state.schedule_history import MachinePart, PastOccurrence
from reconciler.views.schedule_words import action
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted
from specs.fleet import CompiledSchedule
from specs.types.display_name import named
from specs.types.quantities import Duration

_INDENT = (0, 0, 0, 2)
_NOTHING = {"open": "nothing has begun", "over": "no machine was selected"}
_WORDS = {"left-out": "left out", "waiting": "waiting"}


def schedule_parts(
    schedule: CompiledSchedule,
    machines: int,
    following: Iterable[Occurrence],
    past: Iterable[tuple[PastOccurrence, Mapping[str, int]]],
) -> Iterator[RenderableType]:
    """Yield a schedule, what comes and what was."""
    title = Text(for_terminal(named(schedule.display_name, schedule.name)), style="bold")
    title.append(f"  {what_it_does(schedule, machines)}", style="not bold")
    yield title
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    label = "next"
    for each in following:
        table.add_row(label, shown_moment(schedule, each.moment), Text(each.left_out, "dim"))
        label = ""
    if label:
        table.add_row(label, "never", "")
    label = "last"
    for occurrence, counts in past:
        moment = shown_moment(schedule, occurrence.moment)
        table.add_row(label, moment, Text(for_terminal(result(occurrence, counts))))
        label = ""
    if label:
        table.add_row(label, "never", "")
    yield Padding(table, _INDENT, expand=False)


def what_it_does(schedule: CompiledSchedule, machines: int) -> str:
    """Return what a schedule does, on how many machines, when: one line."""
    on = counted(machines, "machine")
    when = schedule.at.isoformat() if schedule.at else f"{schedule.cron} {schedule.time_zone}"
    return for_terminal(f"{action(schedule)} on {on}, {when}")


def settings_of(schedule: CompiledSchedule) -> str:
    """Return how a schedule goes about it, on one line."""
    parts = [f"begins up to {Duration(schedule.window_seconds)} late", f"missed: {schedule.missed}"]
    if schedule.start_interval_seconds:
        parts.append(f"{Duration(schedule.start_interval_seconds)} between machines")
    if schedule.jitter_seconds:
        parts.append(f"jitter {Duration(schedule.jitter_seconds)}")
    if schedule.holidays:
        parts.append(f"{len(schedule.holidays):,} holidays: {schedule.holiday_action}")
    if schedule.approved:
        parts.append("approved: destructive")
    return f"{' · '.join(parts)} ({schedule.position})"


def result(occurrence: PastOccurrence, counts: Mapping[str, int]) -> str:
    """Return how an occurrence went: ``38 verified · 1 left out, run 20261121-1730-nightly``."""
    if occurrence.state == "left-out":
        return f"left out: {occurrence.reason}"
    parts = [f"{count:,} {_WORDS.get(state, state)}" for state, count in counts.items()]
    went = " · ".join(parts) or occurrence.reason or _NOTHING[occurrence.state]
    if occurrence.state == "open":
        went += ", not over"
    return f"{went}, run {occurrence.run_id}"


def machine_parts(
    machines: Iterable[MachinePart], names: Mapping[str, str] | None = None
) -> Iterator[RenderableType]:
    """Yield what became of each machine of an occurrence; ``names`` are what people call them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in machines:
        said = each.reason or (f"operation {each.op_id[:12]}" if each.op_id else "")
        state = _WORDS.get(each.state, each.state)
        machine = named((names or {}).get(each.machine, ""), each.machine)
        table.add_row(Text(for_terminal(machine)), state, Text(for_terminal(said)))
    yield Padding(table, _INDENT, expand=False)
