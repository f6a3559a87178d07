"""One machine as a terminal shows it."""

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from rich import box
from rich.console import RenderableType
from rich.filesize import decimal
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.wire.disk import Disk
from agent.wire.report import InstalledSystem
from reconciler.planning.item import DriftedValue
from reconciler.planning.upcoming_work import UpcomingWork
from reconciler.state.observed import TimedReport
from reconciler.views.age import ago, duration
from reconciler.views.disk_layout import describe, segments, table_of, widths
from reconciler.views.inventory_text import facts
from reconciler.views.machine_details import MachineDetails
from reconciler.views.schedule_words import action, when
from reconciler.views.status_text import COLOURS, NARROW
from reconciler.views.untrusted import for_terminal
from specs.types.display_name import named

SHOWN_BOOTS = 15
SHOWN_OPERATIONS = 10
SHOWN_EVENTS = 15
_SHORT = 12
_INDENT = 2
_LONGEST_BAR = 100


def machine_parts(
    details: MachineDetails, now: datetime, width: int, *, full: bool = False
) -> Iterator[RenderableType]:
    """Yield the machine's sections for a terminal of this width; ``full`` leaves nothing out."""
    yield from _head(details, now)
    for each in details.condition.further:
        if each.values:
            since = f" (reported so for {_for(each.since, now)})" if each.since else ""
            yield from _section(f"{each.type}{since}", [_drift(each.values)])
    yield from _section("Wanted", _pairs((field, value, "") for field, value in details.wanted))
    if details.scheduled:
        rows = (_scheduled(each, now) for each in details.scheduled)
        yield from _section("Scheduled", _pairs(rows))
    report = details.seen.disks
    if report is None:
        yield from _section("Hardware", [_line("never observed: no agent reported from it")])
    else:
        yield from _section("Hardware", _pairs(_hardware(report, now)))
        if report.installed is not None:
            yield from _section("System", _pairs(_system(report.installed)))
        disks = [part for disk in report.report.disks for part in _disk(disk, width)]
        yield from _section(
            f"Disks (seen {ago(report.at, now)})", disks or [_line("no disk was seen")]
        )
    if details.inventory is not None:
        yield from _section("Inventory", [_line(facts(details.inventory, now))])
    most = None if full else SHOWN_BOOTS
    yield from _section("Boots (UTC, newest first)", _boots(details, most))
    most = None if full else SHOWN_OPERATIONS
    yield from _section(
        "History (UTC, newest first)", _history(details, now, most, narrow=width < NARROW)
    )
    most = None if full else SHOWN_EVENTS
    yield from _section("Events (UTC, newest first)", _events(details, most, narrow=width < NARROW))


def _section(title: str, parts: Sequence[RenderableType]) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold")
    yield from parts


def _line(text: str, style: str = "") -> Padding:
    return Padding(Text(for_terminal(text), style=style), (0, 0, 0, _INDENT), expand=False)


def _head(details: MachineDetails, now: datetime) -> Iterator[RenderableType]:
    state = details.condition
    head = Text(for_terminal(named(state.display_name, state.machine)), style="bold")
    head.append(f"  {state.condition}", style=f"not bold {COLOURS[state.condition]}")
    if state.since is not None:
        lasting = duration((now - state.since).total_seconds())
        head.append(f" for {lasting}", style="not bold")
    yield head
    yield _line(state.reason)
    if details.quarantine is not None:
        at = ago(details.quarantine.at, now)
        yield _line(f"quarantined {at}: {details.quarantine.reason}", "red")
    yield _line(f"last heard {ago(state.last_seen, now)}", "dim")


def _pairs(pairs: Iterable[tuple[str, str, str]]) -> list[RenderableType]:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value, note in pairs:
        text = Text(for_terminal(value))
        if note:
            text.append(f"  {for_terminal(note)}", style="dim")
        table.add_row(Text(" " * _INDENT + for_terminal(label)), text)
    return [table]


def _scheduled(work: UpcomingWork, now: datetime) -> tuple[str, str, str]:
    """Return the schedule, when it acts next and what it does, and how much later here."""
    at = when(work.schedule, work.moment, now)
    later = f"begins {duration(work.delay.total_seconds())} later here" if work.delay else ""
    title = named(work.schedule.display_name, work.schedule.name)
    return title, f"{at} · {action(work.schedule)}", later


def _for(since: datetime, now: datetime) -> str:
    return duration((now - since).total_seconds())


def _drift(values: Iterable[DriftedValue]) -> RenderableType:
    return _table(("what", "wanted", "found"), values)


def _hardware(report: TimedReport, now: datetime) -> Iterator[tuple[str, str, str]]:
    said = report.report
    hardware = said.hardware
    yield "model", " ".join(filter(None, (hardware.vendor, hardware.product))) or "-", ""
    yield "serial", hardware.serial or "-", ""
    yield "UUID", hardware.uuid or "-", ""
    yield "processors", str(hardware.cpus), ""
    yield "memory", decimal(hardware.memory), ""
    secure = f", Secure Boot {'on' if hardware.secure_boot else 'off'}"
    yield "firmware", hardware.firmware + (secure if hardware.firmware == "uefi" else ""), ""
    for index, mac in enumerate(hardware.macs):
        yield "network" if index == 0 else "", mac, "boots first" if index == 0 else ""
    agent = f"{said.agent_version} in {said.environment}, up {duration(said.uptime)}"
    yield "agent", agent, f"reported {ago(report.at, now)}"
    for problem in said.problems:
        yield "problem", problem, ""


def _system(system: InstalledSystem) -> Iterator[tuple[str, str, str]]:
    yield "system", system.os, f"kernel {system.kernel}"
    yield "host name", system.hostname, f"machine-id {system.machine_id}"
    yield "addresses", ", ".join(system.addresses) or "-", ""
    yield "installed by", f"operation {system.operation[:_SHORT]}" if system.operation else "-", ""
    for index, key in enumerate(system.ssh_host_keys):
        yield "ssh host keys" if index == 0 else "", key, ""


def _disk(disk: Disk, width: int) -> Iterator[RenderableType]:
    identity = disk.identity
    name = " ".join(filter(None, (disk.model, identity.serial))) or "unnamed disk"
    facts = [name, decimal(identity.size), f"{disk.sector_size}-byte sectors", table_of(disk)]
    if disk.removable:
        facts.append("removable")
    if disk.read_only:
        facts.append("read-only")
    if disk.transport:
        facts.append(f"over {disk.transport}")
    yield _line(" · ".join(facts))
    yield _line(" · ".join(filter(None, (identity.wwn, identity.path, f"now {disk.node}"))), "dim")
    yield _line(f"holds {disk.holds or 'nothing known'}")
    parts = segments(disk)
    if not disk.partitions:
        return
    room = min(width, _LONGEST_BAR) - 2 * _INDENT - len(parts) - 1
    cells = (
        str(part.partition.number)[:cell].ljust(cell, "=") if part.partition else "." * cell
        for part, cell in zip(parts, widths(parts, room, 1), strict=True)
    )
    yield _line(f"|{'|'.join(cells)}|")
    table = Table.grid(padding=(0, 2))
    columns: tuple[Literal["left", "right"], ...] = ("right", "left", "right", "left")
    for justify in columns:
        table.add_column(justify=justify, no_wrap=True, overflow="ellipsis")
    for partition in disk.partitions:
        table.add_row(
            Text(" " * _INDENT + str(partition.number)),
            Text(for_terminal(describe(partition))),
            Text(decimal(partition.size)),
            Text(for_terminal(f"from {decimal(partition.start)}"), style="dim"),
        )
    yield table


def _table(
    headings: Sequence[str], rows: Iterable[Sequence[str | Text]], hidden: Container[str] = ()
) -> Table:
    """Return a table of these rows without the columns that are hidden."""
    shown = [index for index, heading in enumerate(headings) if heading not in hidden]
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for index in shown[:-1]:
        table.add_column(headings[index], no_wrap=True)
    table.add_column(headings[-1], overflow="fold", ratio=1)
    for row in rows:
        cells = (row[index] for index in shown)
        table.add_row(
            *(Text(for_terminal(each)) if isinstance(each, str) else each for each in cells)
        )
    return table


def _when(at: datetime) -> str:
    return f"{at:%m-%d %H:%M:%S}"


def _more(number: int, shown: int) -> list[RenderableType]:
    return [_line(f"and {number - shown:,} earlier: --full", "dim")] if number > shown else []


def _boots(details: MachineDetails, most: int | None) -> list[RenderableType]:
    if not details.boots:
        return [_line("it never asked for a network boot")]
    rows = []
    shown = details.boots[:most]
    for event in shown:
        text = Text(for_terminal(event.detail))
        if event.answer:
            text.append(f" → {for_terminal(event.answer)}", style="dim")
        rows.append((_when(event.at), event.route, event.source, text))
    table = _table(("at", "route", "from", "asked, and the answer"), rows)
    return [table, *_more(len(details.boots), len(shown))]


def _history(
    details: MachineDetails, now: datetime, most: int | None, *, narrow: bool
) -> list[RenderableType]:
    if not details.operations:
        return [_line("no operation was ever planned for it")]
    headings = ("planned", "operation", "state", "took", "by", "what, and why it ended so")
    rows = []
    shown = details.operations[:most]
    for each in shown:
        operation = each.operation
        seconds = each.seconds(now)
        what = f"{operation.kind}, {operation.scenario} run {operation.run}"
        why = each.lines[-1].reason
        rows.append(
            (
                _when(each.lines[0].at),
                operation.op_id[:_SHORT],
                each.state.value,
                duration(seconds) if seconds is not None else "-",
                each.approved_by,
                f"{what}: {why}" if why else what,
            )
        )
    hidden = ("operation", "by") if narrow else ()
    table = _table(headings, rows, hidden)
    return [table, *_more(len(details.operations), len(shown))]


def _events(details: MachineDetails, most: int | None, *, narrow: bool) -> list[RenderableType]:
    lines = [
        (line.at, place, each.operation.op_id, line)
        for each in details.operations
        for place, line in enumerate(each.lines)
    ]
    if not lines:
        return [_line("nothing is recorded")]
    headings = ("at", "operation", "state", "attempt", "by", "why")
    lines.sort(key=lambda each: each[:3], reverse=True)
    shown = lines[:most]
    rows = (
        (
            _when(at),
            op_id[:_SHORT],
            line.state.value,
            str(line.attempt),
            line.actor,
            line.reason or "-",
        )
        for at, _, op_id, line in shown
    )
    hidden = ("operation", "attempt") if narrow else ()
    table = _table(headings, rows, hidden)
    return [table, *_more(len(lines), len(shown))]
