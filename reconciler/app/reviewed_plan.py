"""Which items of the present plan a reviewed plan file still covers."""

from collections.abc import Iterable
from json import loads
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reconciler.errors import ReconcilerError
from reconciler.planning.groups import digest_of
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan
from reconciler.views.plan_document import FORMAT, ItemDocument, PlanDocument
from reconciler.views.plan_words import SHORT

Refusals = list[tuple[str, str]]


def select(plan: Plan, planfile: Path | None) -> tuple[tuple[PlanItem, ...], Refusals, str]:
    """Return the items to start, and what of a reviewed plan file no longer holds, per machine.

    The third is the digest of the file; empty without one, and for one of another revision.
    ReconcilerError RW906 when the file is no plan, RW920 when it was changed after
    it was written: what was reviewed is then not what it says.
    """
    if planfile is None:
        return plan.to_apply, [], ""
    document = _reviewed(planfile)
    reviewed = [
        item for item in document["items"] if item["operation"] is not None and not item["running"]
    ]
    present: dict[str, PlanItem] = {}
    for item in plan.items:
        known = present.get(item.machine)
        if known is None or (item.starts and not known.starts):
            present[item.machine] = item
    chosen, refused = [], []
    for wanted in reviewed:
        now = present.get(wanted["machine"])
        if now is not None and now.starts and _operation(now) == wanted["operation"]:
            chosen.append(now)
        else:
            refused.append((wanted["machine"], stale(wanted, now)))
    digest = document["digest"] if document["revision"] == plan.revision else ""
    return tuple(chosen), refused, digest


def stale(reviewed: ItemDocument, now: PlanItem | None) -> str:
    """Return why a reviewed item is not carried out, given what is planned there now."""
    if now is None:
        return "nothing is to be done there any more"
    if now.running:
        same = _operation(now) == reviewed["operation"]
        return f"{'it' if same else 'another operation'} is under way there already"
    if not now.starts:
        return f"it is {now.risk} now: {now.reason}"
    if now.action != reviewed["action"]:
        return f"the review was of {reviewed['action']}, now it would {now.action}"
    before = [disk["wwn"] or disk["serial"] or disk["model"] for disk in reviewed["disks"]]
    after = [disk.wwn or disk.serial or disk.model for disk in now.disks]
    if before != after:
        return f"the review was of disk {_list(before)}, now it would overwrite {_list(after)}"
    images = [f"{image['name']} {image['manifest'][:SHORT]}" for image in reviewed["images"]]
    present = [f"{image.name} {image.manifest[:SHORT]}" for image in now.images]
    if images != present:
        return f"the review was of image {_list(images)}, now it would write {_list(present)}"
    return "the scenario or its run token changed since the review"


def _operation(item: PlanItem) -> str:
    return item.operation.op_id if item.operation else ""


def _list(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "none"


def _reviewed(planfile: Path) -> PlanDocument:
    try:
        document: Any = loads(planfile.read_bytes())
    except OSError as error:
        raise _no_plan(planfile, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _no_plan(planfile, f"it is not JSON: {error}") from error
    written_as = document.get("format") if isinstance(document, dict) else None
    if written_as != FORMAT:
        raise _no_plan(planfile, f"its format is {written_as!r}, not {FORMAT!r}")
    try:
        reviewed = TypeAdapter(PlanDocument).validate_python(document, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _no_plan(planfile, f"{place}: {first['msg']}") from error
    if _digest(reviewed) != reviewed["digest"]:
        raise ReconcilerError(
            "RW920",
            f"{planfile} was changed after `plan` wrote it: its digest does not fit its items",
            "Write it anew with `rackwright plan --out FILE` and have it reviewed again",
        )
    return reviewed


def _digest(document: PlanDocument) -> str:
    """Return the digest that the plan of these items has, computed as ``Plan.digest`` is."""
    lines: list[list[str]] = [[] for _ in document["folds"]]
    for item in document["items"]:
        if not 0 <= item["fold"] < len(lines):
            return ""
        name = item["machine"] or item["subject"]
        op_id = item["operation"] or "-"
        lines[item["fold"]].append(f"{name} {item['risk']} {item['action']} {op_id}")
    return digest_of([document["revision"], *(digest_of(fold) for fold in lines)])


def _no_plan(planfile: Path, why: str) -> ReconcilerError:
    return ReconcilerError(
        "RW906", f"{planfile} is no plan: {why}", "Write one with `rackwright plan --out FILE`"
    )
