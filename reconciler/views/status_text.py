"""The fleet's state as a terminal shows it."""

from collections.abc import Iterable
from datetime import datetime

from rich import box
from rich.table import Table
from rich.text import Text

from reconciler.views.age import ago
from reconciler.views.machine_state import MachineState
from reconciler.views.untrusted import for_terminal
from specs.types.display_name import named

_COLOURS = {"Ready": "green", "Reconciling": "yellow", "Stalled": "red", "Unknown": "cyan"}


def status_table(states: Iterable[MachineState], now: datetime) -> Table:
    """Return one row per machine."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("machine", no_wrap=True)
    table.add_column("group")
    table.add_column("condition", no_wrap=True)
    table.add_column("scenario")
    table.add_column("last heard", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=1)
    for state in states:
        table.add_row(
            _shown(state.display_name, state.machine),
            _shown(state.group_display_name, state.group),
            Text(state.condition, style=_COLOURS[state.condition]),
            _shown(state.scenario_display_name, state.run),
            ago(state.last_seen, now),
            state.reason,
        )
    return table


def _shown(display_name: str, name: str) -> Text:
    return Text(for_terminal(named(display_name, name)) or "-")
