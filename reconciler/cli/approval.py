"""From a reviewed plan to approved operations in the ledger."""

from datetime import datetime
from getpass import getuser
from json import loads
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from reconciler.errors import ReconcilerError
from reconciler.ledger.states import OperationState
from reconciler.planning.plan import Plan, PlanItem
from reconciler.rendering.plan_json import FORMAT

if TYPE_CHECKING:
    from reconciler.store.database import Database

Refusals = list[tuple[str, str]]


def select(plan: Plan, planfile: Path | None) -> tuple[tuple[PlanItem, ...], Refusals]:
    """Return the items to start, and what of a reviewed plan file no longer holds, per machine.

    ReconcilerError RW906 when the file is no plan.
    """
    if planfile is None:
        return plan.to_apply, []
    reviewed = _reviewed(planfile)
    present = {item.machine: item for item in plan.to_apply}
    chosen, refused = [], []
    for machine, operation in reviewed.items():
        item = present.get(machine)
        if item is not None and item.operation and item.operation.op_id == operation:
            chosen.append(item)
        elif item is None:
            refused.append((machine, "nothing is to be started there any more"))
        else:
            refused.append((machine, "what is to be done there changed since the review"))
    return tuple(chosen), refused


def _reviewed(planfile: Path) -> dict[str, str]:
    """Return the operation that the file wants for each machine."""
    try:
        document = loads(planfile.read_bytes())
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
        return {
            str(item["machine"]): str(item["operation"])
            for item in document["items"]
            if item["operation"] and not item["running"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReconcilerError(
            "RW906",
            f"{planfile} is no plan: {error}",
            "Write one with `rackwright plan --out FILE`",
        ) from error


def approve(database: "Database", plan: Plan, items: tuple[PlanItem, ...], now: datetime) -> None:
    """Record the operations of ``items`` as planned and approved by this person."""
    from reconciler.ledger.ledger import Ledger  # noqa: PLC0415 - slow to load

    ledger = Ledger(database)
    actor = f"{getuser()}@{gethostname()}"
    for item in items:
        if item.operation is None:
            continue
        ledger.plan(item.operation, now, actor)
        ledger.move(
            item.operation.op_id,
            OperationState.PLANNED,
            OperationState.APPROVED,
            attempt=0,
            at=now,
            actor=actor,
            reason=f"plan {plan.digest}",
        )
