"""Which items of the present plan a reviewed plan file still covers."""

from json import loads
from pathlib import Path

from reconciler.errors import ReconcilerError
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan
from reconciler.rendering.plan_json import FORMAT

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
        wanted = {
            str(item["machine"]): str(item["operation"])
            for item in document["items"]
            if item["operation"] and not item["running"]
        }
        written_as = document["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_plan(planfile, str(error)) from error
    if written_as != FORMAT:
        raise _no_plan(planfile, f"its format is {written_as!r}, not {FORMAT!r}")
    return wanted


def _no_plan(planfile: Path, why: str) -> ReconcilerError:
    return ReconcilerError(
        "RW906", f"{planfile} is no plan: {why}", "Write one with `rackwright plan --out FILE`"
    )
