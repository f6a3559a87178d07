"""Putting all that is known together for the planner."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from reconciler.hardware import FleetHardware
from reconciler.ledger.ledger import Ledger
from reconciler.observed import BUDGET_WINDOW, Observed, ObservedImage
from reconciler.store.captures import Captures
from reconciler.store.database import Database
from reconciler.store.observed_fleet import observed_fleet
from specs.compiled import CompiledMachine


def observe(
    database: Database,
    machines: Iterable[CompiledMachine],
    images: Mapping[str, ObservedImage],
    now: datetime,
    hardware: FleetHardware | None = None,
) -> Observed:
    """Return the world as it was last heard of.

    ``hardware`` is of the same machines, for callers who have it at hand.
    """
    machines = tuple(machines)
    ledger = Ledger(database)
    found, unknown = observed_fleet(database, machines, hardware or FleetHardware(machines))
    return Observed(
        machines=found,
        images=images,
        operations=ledger.current(),
        captures=Captures(database).all(),
        destructive_starts=ledger.destructive_starts(now - BUDGET_WINDOW),
        unknown_macs=unknown,
    )
