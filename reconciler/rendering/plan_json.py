"""The plan for programs; ``apply`` reads it back. Its form is versioned by ``format``."""

from collections.abc import Mapping
from typing import Any

from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan

FORMAT = "rackwright-plan/1"


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON data. Times are ISO 8601 in UTC, sizes bytes."""
    return {
        "format": FORMAT,
        "revision": plan.revision,
        "digest": plan.digest,
        "madeAt": plan.made_at.isoformat(),
        "counts": {str(risk): count for risk, count in plan.counts.items()},
        "items": [_item(item) for item in plan.items],
    }


def _item(item: PlanItem) -> Mapping[str, Any]:
    return {
        "machine": item.machine,
        "group": item.group,
        "risk": str(item.risk),
        "action": item.action,
        "reason": item.reason,
        "cause": str(item.cause.position) if item.cause else None,
        "inheritedAlong": list(item.cause.path) if item.cause else [],
        "operation": item.operation.op_id if item.operation else None,
        "running": item.running,
        "disks": [
            {
                "model": disk.model,
                "serial": disk.serial,
                "wwn": disk.wwn,
                "size": disk.size,
                "holds": disk.holds,
                "observedAt": disk.observed_at.isoformat(),
            }
            for disk in item.disks
        ],
        "spared": list(item.spared),
        "images": [
            {
                "name": image.name,
                "manifest": image.manifest,
                "usedBytes": image.used_bytes,
                "created": image.created.isoformat(),
            }
            for image in item.images
        ],
        "observedAt": item.observed_at.isoformat() if item.observed_at else None,
    }
