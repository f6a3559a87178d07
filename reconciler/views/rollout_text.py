"""Rollouts as a terminal shows them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reconciler.state.operation_states import OperationState
from reconciler.state.rollouts import (
    Counts,
    Member,
    Outcome,
    Rollout,
    RolloutEvent,
    RolloutProgress,
)
from reconciler.views.age import ago
from reconciler.views.plan_words import health
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted
from specs.types.display_name import named

COLOURS = {"running": "yellow", "halted": "bold red", "done": "green", "aborted": "red"}
_OUTCOMES: Mapping[Outcome, str] = {
    "healthy": "green",
    "failed": "red",
    "withdrawn": "dim",
    "accepted": "yellow",
}
_MOST = 40
"""Machines of a rollout that have a row; of more, those that have most to say."""
_NAME_WIDTH = 36
"""Columns that names of machines have at least before they are folded."""
_NAMED = 5
"""Machines of a line."""
WAITS = "waits"


def rollouts_parts(rollouts: Sequence[RolloutProgress], now: datetime) -> Iterator[RenderableType]:
    """Yield one row per rollout, then why each of them is halted."""
    yield _rollouts_table(rollouts, now)
    for each, _ in rollouts:
        if each.state == "halted":
            yield Text(for_terminal(halted_line(each)), style="bold red")


def _rollouts_table(rollouts: Iterable[RolloutProgress], now: datetime) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("rollout", no_wrap=True)
    table.add_column("of", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("since", no_wrap=True)
    table.add_column("how far", overflow="fold")
    for each, counts in rollouts:
        far = f"{each.wave_name(each.wave)}, {how_far(counts)}"
        table.add_row(
            Text(each.rollout_id),
            Text(for_terminal(each.whose)),
            Text(each.state, style=COLOURS[each.state]),
            Text(ago(each.since, now)),
            Text(for_terminal(far)),
        )
    return table


def how_far(counts: Counts) -> str:
    """Return ``2 of 9 healthy, 1 failed`` of all machines of a rollout."""
    total = sum(sum(each.values()) for each in counts.values())
    said = [f"{_total(counts, 'healthy'):,} of {counted(total, 'machine')} healthy"]
    for outcome in _OUTCOMES:
        number = _total(counts, outcome)
        if number and outcome != "healthy":
            said.append(f"{number:,} {outcome}")
    return ", ".join(said)


def _total(counts: Counts, outcome: Outcome) -> int:
    return sum(each.get(outcome, 0) for each in counts.values())


def status_line(progress: RolloutProgress, now: datetime) -> str:
    """Return one active rollout in a sentence, with what a person can do."""
    rollout, counts = progress
    about = f"rollout {rollout.rollout_id} of {rollout.whose}"
    far = f"{rollout.wave_name(rollout.wave)}, {how_far(counts)}"
    if rollout.state != "halted":
        return f"{about}: {far}"
    return f"{halted_line(rollout)} ({far}, halted {ago(rollout.since, now)})"


def halted_line(rollout: Rollout) -> str:
    """Return why a rollout is halted, and what a person can do."""
    name = rollout.rollout_id
    return (
        f"RW654: rollout {name} of {rollout.whose} is halted: {_sentence(rollout.reason)} Say "
        f"`rackwright rollout resume {name} --reason TEXT`, or `abort` in the place of `resume`"
    )


def _sentence(text: str) -> str:
    """Return a text that ends as a sentence does."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def rollout_parts(
    rollout: Rollout,
    members: Sequence[Member],
    events: Iterable[RolloutEvent],
    *,
    full: bool,
    names: Mapping[str, str] | None = None,
) -> Iterator[RenderableType]:
    """Yield a rollout: what was decided and when, then its waves with their machines.

    ``names`` are what people call the machines.
    """
    called = names or {}
    head = Text(f"rollout {rollout.rollout_id}", style="bold")
    head.append(f"  {rollout.state}", style=COLOURS[rollout.state])
    yield head
    of = f"of {rollout.whose}, run {rollout.run_id}; {health(rollout.terms.health)}"
    yield _indented(of, "dim")
    for event in events:
        why = f": {event.reason}" if event.reason else ""
        yield _indented(f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.what} by {event.actor}{why}")
    left = None if full else _MOST
    for number in range(1, len(rollout.terms.waves) + 1):
        wave = [each for each in members if each.wave == number]
        yield Text("")
        heading = rollout.wave_name(number)
        yield Text(for_terminal(heading), style="bold" if number == rollout.wave else "")
        shown, folded = (wave, ()) if full else _folded(rollout, wave, called)
        table = Table.grid(padding=(0, 2))
        rows = [_row(rollout, each, called) for each in shown[:left]]
        widest = max((row[0].cell_len for row in rows), default=0)
        table.add_column(overflow="fold", min_width=min(widest, _NAME_WIDTH))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*row)
        yield Padding(table, (0, 0, 0, 2), expand=False)
        if left is not None and len(shown) > left:
            yield _indented(f"and {counted(len(shown) - left, 'machine')} more: --full", "dim")
        for line in folded:
            yield _indented(line, "dim")
        left = None if left is None else max(0, left - len(shown))


def _folded(
    rollout: Rollout, wave: Sequence[Member], called: Mapping[str, str]
) -> tuple[list[Member], tuple[str, ...]]:
    """Return the machines that have something to say, and a line for each way in which others do.

    Of those that are healthy, and of those that wait, the first are named.
    """
    healthy = [each.machine for each in wave if each.outcome == "healthy"]
    waiting = [
        each.machine for each in wave if not each.outcome and _under_way(rollout, each) == WAITS
    ]
    told = {*healthy, *waiting}
    shown = sorted((each for each in wave if each.machine not in told), key=_pressing)
    lines = (
        f"{what}: {', '.join(named(called.get(each, ''), each) for each in names[:_NAMED])}"
        + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
        for what, names in (("healthy", healthy), (WAITS, waiting))
        if names
    )
    return shown, tuple(lines)


def _pressing(member: Member) -> tuple[int, str]:
    order: tuple[Outcome, ...] = ("failed", "", "accepted", "withdrawn", "healthy")
    return order.index(member.outcome), member.machine


def _row(rollout: Rollout, member: Member, called: Mapping[str, str]) -> tuple[Text, Text, Text]:
    outcome = member.outcome or _under_way(rollout, member)
    style = _OUTCOMES.get(member.outcome, "")
    why = member.reason if member.outcome not in {"", "healthy"} else member.problem
    shown = for_terminal(named(called.get(member.machine, ""), member.machine))
    return Text(shown), Text(outcome, style=style), Text(for_terminal(why))


def _under_way(rollout: Rollout, member: Member) -> str:
    if member.state is OperationState.VERIFIED:
        if rollout.state == "halted":
            return "verified, its health is looked at once the rollout goes on"
        return (
            "verified, not healthy yet" if member.problem else "verified, its health is looked at"
        )
    if member.state is OperationState.APPROVED and rollout.hold(member.wave):
        return WAITS
    return member.state.value


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(for_terminal(text), style=style), (0, 0, 0, 2), expand=False)
