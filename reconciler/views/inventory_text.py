"""Inventories as a terminal shows them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from attrs import asdict
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agent.wire.inventory import Row, System
from reconciler.state.inventory_head import InventoryHead
from reconciler.views.age import ago
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted
from specs.types.display_name import named

HEADINGS = {
    "packages": ("package", "architecture", "version", "source", "source version", "from", ""),
    "updates": ("package", "architecture", "installed", "available", "from", ""),
    "services": ("service", "state", "at start"),
    "users": ("session", "user", "terminal", "since", "from"),
    "disks": ("disk", "model", "serial", "bytes", "health", "hours", "defects", "worn %"),
    "hotfixes": ("hotfix", "description", "installed"),
    "applications": ("application", "version", "publisher", "installed", "architecture"),
}
_SYSTEM = (
    ("system", "os_name"),
    ("service pack", "service_pack"),
    ("kernel", "kernel"),
    ("architecture", "architecture"),
    ("firmware", "firmware_vendor"),
    ("firmware version", "firmware_version"),
    ("firmware date", "firmware_date"),
    ("started", "booted"),
    ("updates looked for", "updates_checked"),
)
_LONG = ("packages", "services", "applications")
"""Sections that are counted unless all is asked for."""
_NOT_KNOWN = "-1"
_HELD = "True"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return rows as a table whose last column gives way."""
    shown = Table(box=box.SIMPLE, pad_edge=False)
    for each in headings:
        shown.add_column(each, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row))
    return shown


def _cell(value: object) -> str:
    text = str(value)
    return {"": "-", _NOT_KNOWN: "-", _HELD: "held", "False": ""}.get(text, for_terminal(text))


def inventory_parts(
    title: str,
    head: InventoryHead,
    sections: Mapping[str, tuple[Row, ...]],
    now: datetime,
    *,
    full: bool,
) -> Iterator[RenderableType]:
    """Yield one machine's inventory; ``full`` lists every package and service."""
    line = Text(for_terminal(title), style="bold")
    line.append(f"  inventory of {ago(head.at, now)}", style="not bold dim")
    yield line
    for row in sections.get("system", ()):
        yield _pairs(row)
    reasons = sections.get("reboot")
    if reasons is None:
        yield Text("whether it waits for a restart is not known", style="dim")
    for (reason,) in reasons or ():
        yield Text(for_terminal(f"waits for a restart: {reason}"), style="yellow")
    for name, headings in HEADINGS.items():
        rows = sections.get(name)
        if rows is None:
            continue
        if name in _LONG and not full:
            failed = [row for row in rows if name == "services" and row[1] == "failed"]
            more = f", {counted(len(failed), 'failed one')}" if failed else ""
            yield Text(f"{counted(len(rows), name.removesuffix('s'))}{more}")
            rows = tuple(failed)
        elif not rows:
            yield Text(f"no {name}")
        if rows:
            yield table(headings, rows)
    for (problem,) in sections.get("problems", ()):
        yield Text(for_terminal(f"not known: {problem}"), style="yellow")


def _pairs(row: Row) -> Table:
    values = asdict(System(*row))  # type: ignore[arg-type] # it was checked when it came
    shown = Table.grid(padding=(0, 2))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for label, name in _SYSTEM:
        if values[name]:
            shown.add_row(f"  {label}", Text(for_terminal(str(values[name]))))
    return shown


def facts(head: InventoryHead | None, now: datetime) -> str:
    """Return in one line what ``get machine`` and ``status`` say of an inventory."""
    if head is None:
        return "no inventory"
    updates = "updates not known" if head.updates is None else counted(head.updates, "update")
    restart = ", waits for a restart" if head.restart else ""
    system = head.os_name or head.os_id or "unknown system"
    return f"{system}, {updates}{restart}, inventory of {ago(head.at, now)}"


def machine_title(name: str, display_name: str) -> str:
    """Return what people call a machine, with its name."""
    return named(display_name, name)
