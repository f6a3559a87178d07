"""A virtual rack as a terminal shows it."""

from rich import box
from rich.table import Table
from rich.text import Text

from providers.lab.status import RackStatus
from reconciler.views.age import duration
from reconciler.views.untrusted import for_terminal


def rack_table(state: RackStatus) -> Table:
    """Return one row per machine."""
    table = Table(
        box=box.SIMPLE,
        pad_edge=False,
        title=Text(for_terminal(f"{state.address} · {state.accelerator} · {state.directory}")),
        title_justify="left",
    )
    for name in ("machine", "firmware", "power", "MAC", "disk", "up for", "note"):
        table.add_column(name, overflow="fold")
    for machine in state.machines:
        up = "-" if machine.uptime_seconds is None else duration(machine.uptime_seconds)
        table.add_row(
            Text(for_terminal(machine.name)),
            machine.firmware,
            Text(machine.power, style="green" if machine.power == "on" else "dim"),
            machine.mac,
            Text(for_terminal(machine.disk_serial)),
            up,
            Text(for_terminal(machine.note)),
        )
    return table
