"""What is known of an operation of unknown outcome, for the person who says how it ended."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from rich.console import RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reconciler.state.boots import BootEvent
from reconciler.state.machine_history import PastOperation, StepTiming
from reconciler.state.observed import ObservedMachine
from reconciler.state.operation import OperationStatus
from reconciler.views.age import ago
from reconciler.views.progress import STEP_WORDS
from reconciler.views.untrusted import for_terminal

_INDENT = 2
_SHOWN_BOOTS = 3
_SHORT = 12


class Unresolved(NamedTuple):
    """One indeterminate operation and what is known of its machine."""

    status: OperationStatus
    past: PastOperation
    seen: ObservedMachine
    """Nothing, where no document has the hardware."""
    boots: tuple[BootEvent, ...]
    """What was asked since an agent began the work, oldest first."""


def unresolved_parts(each: Unresolved, now: datetime) -> Iterator[RenderableType]:
    """Yield the evidence of one operation."""
    operation = each.status.operation
    head = Text(for_terminal(operation.machine), style="bold")
    what = f"  {operation.scenario} run {operation.run}, operation {operation.op_id[:_SHORT]}"
    head.append(for_terminal(what), style="not bold")
    yield head
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _facts(each, now):
        table.add_row(Text(label), Text(for_terminal(text)))
    yield Padding(table, (0, 0, 0, _INDENT), expand=False)


def _facts(each: Unresolved, now: datetime) -> Iterator[tuple[str, str]]:
    status = each.status
    yield "indeterminate", f"since {_at(status.at, now)}: {status.reason}"
    yield from _steps(each, now)
    heard = status.last_event_at
    yield "last word", _at(heard, now) if heard else "none: its agent said nothing of the work"
    yield from _boots(each, now)
    yield "installed", _installed(each, now)
    yield from _disks(each, now)


def _steps(each: Unresolved, now: datetime) -> Iterator[tuple[str, str]]:
    status, steps = each.status, each.past.known_steps
    wire = status.operation.instructions.steps
    for step in steps:
        name = STEP_WORDS[wire[step.step].STEP_TYPE]
        attempt = f", attempt {step.attempt}" if status.attempt > 1 else ""
        end = f"done {step.ended_at:%H:%M:%S}" if step.ended_at else "not known to have ended"
        yield (
            f"step {step.step + 1} of {len(wire)}",
            f"{name}{attempt}: began {_at(step.began_at, now)}, {end}{_moved(status, step)}",
        )
    if not steps:
        yield "steps", f"none of {len(wire)} is known to have begun"


def _moved(status: OperationStatus, step: StepTiming) -> str:
    """Return how many bytes a step moved, as far as its agent said; empty for none."""
    if step.ended_at is not None:
        return f", {decimal(step.bytes_done)}" if step.bytes_done else ""
    if (step.attempt, step.step) != (status.attempt, status.step) or not status.bytes_total:
        return ""
    return f", {decimal(status.bytes_done)} of {decimal(status.bytes_total)}"


def _boots(each: Unresolved, now: datetime) -> Iterator[tuple[str, str]]:
    if not each.boots:
        yield "boot requests", "none since the work began"
        return
    for place, boot in enumerate(reversed(each.boots[-_SHOWN_BOOTS:])):
        label = f"boot requests {len(each.boots)}" if place == 0 else ""
        answer = f" → {boot.answer}" if boot.answer else ""
        yield label, f"{_at(boot.at, now)} {boot.route}: {boot.detail}{answer}"


def _installed(each: Unresolved, now: datetime) -> str:
    heard = each.seen.installed
    system = heard.installed if heard else None
    if heard is None or system is None:
        return "no installed agent was ever heard"
    op_id = each.status.operation.op_id
    of = "this operation" if system.operation == op_id else "another operation"
    when = "after" if heard.at > each.past.begun_at else "before"
    return (
        f"{system.hostname}, {system.os}, written by {of}; reported {_at(heard.at, now)}, {when} "
        "the work began"
    )


def _disks(each: Unresolved, now: datetime) -> Iterator[tuple[str, str]]:
    report = each.seen.disks
    if report is None:
        yield "disks", "never seen"
        return
    for place, disk in enumerate(report.report.disks):
        name = " ".join(filter(None, (disk.model, disk.identity.serial))) or "unnamed disk"
        holds = disk.holds or "nothing known"
        seen = f"seen {_at(report.at, now)}"
        yield (
            "disks" if place == 0 else "",
            f"{name} · {decimal(disk.identity.size)} · holds {holds} · {seen}",
        )


def _at(at: datetime, now: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({ago(at, now)})"
