"""Putting all that is known together for the planner."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from reconciler.ledger.ledger import Ledger
from reconciler.observed import BUDGET_WINDOW, Observed, ObservedImage
from reconciler.store.captures import Captures
from reconciler.store.database import Database
from reconciler.store.observations import Observations
from specs.compiled import CompiledMachine


def observe(
    database: Database,
    machines: Iterable[CompiledMachine],
    images: Mapping[str, ObservedImage],
    now: datetime,
) -> Observed:
    """Return the world as it was last heard of."""
    machines = tuple(machines)
    ledger = Ledger(database)
    observations = Observations(database)
    operations = ledger.operations()
    destructive = {status.operation.op_id for status in operations if status.operation.destructive}
    return Observed(
        machines=observations.machines(machines),
        images=images,
        operations=operations,
        captures=Captures(database).all(),
        destructive_starts=tuple(
            at for op_id, at in ledger.first_armed(now - BUDGET_WINDOW) if op_id in destructive
        ),
        unknown_macs=observations.unknown_macs(mac for machine in machines for mac in machine.macs),
    )
