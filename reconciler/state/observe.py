"""Putting all that is known together for the planner."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from reconciler.state.captured import captured
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger_reading import LedgerReading
from reconciler.state.observed import BUDGET_WINDOW, Observed, ObservedImage
from reconciler.state.observed_fleet import ObservedFleet
from reconciler.state.rows import Rows
from specs.fleet import CompiledMachine


def observe(
    database: Rows,
    machines: Iterable[CompiledMachine],
    images: Mapping[str, ObservedImage],
    now: datetime,
    hardware: FleetHardware | None = None,
) -> Observed:
    """Return the world as it was last heard of.

    ``hardware`` is of the same machines, for callers who have it at hand.
    """
    machines = tuple(machines)
    ledger = LedgerReading(database)
    with _no_search_for_cycles():
        found = ObservedFleet(database, machines, hardware or FleetHardware(machines))
        return Observed(
            machines=found,
            images=images,
            operations=ledger.current(),
            captures=captured(database),
            beginnings=ledger.beginnings(now - BUDGET_WINDOW),
            unknown_macs=found.unknown_macs(),
        )


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Let Python not look for cycles among the many rows that are being read.

    There are none, and with 40,000 machines the search takes nearly as long as the reading.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
