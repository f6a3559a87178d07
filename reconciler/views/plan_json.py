"""The plan for programs; ``apply`` reads it back. Its form is versioned by ``format``."""

from collections.abc import Mapping
from types import MappingProxyType

from reconciler.planning.groups import PlanGroup
from reconciler.planning.item import DiskFacts, ImageChange, LastBackup, PlanItem
from reconciler.planning.plan import Plan, exit_code
from reconciler.planning.rollouts import WavePlace, wave_places
from reconciler.views import plan_words as words
from reconciler.views.plan_document import (
    FORMAT,
    BackupDocument,
    CauseDocument,
    DiskDocument,
    ImageDocument,
    ItemDocument,
    PlanDocument,
    PlanGroupDocument,
)
from reconciler.views.schedule_words import upcoming_document
from specs.fleet import Origin


def plan_document(plan: Plan, notice: str = "") -> PlanDocument:
    """Return the plan as JSON data; ``notice`` says whether its commit may be acted on."""
    places = wave_places(plan.rollouts)
    return {
        "format": FORMAT,
        "revision": plan.revision,
        "notice": notice,
        "digest": plan.digest,
        "madeAt": plan.made_at.isoformat(),
        "verdict": words.verdict(plan),
        "exitCode": exit_code(plan),
        "counts": {risk.value: count for risk, count in plan.counts.items()},
        "disks": plan.disks,
        "disksWithoutBackup": sum(each.disks_without_backup for each in plan.groups),
        "budget": {"atOnce": plan.budget.at_once, "perHour": plan.budget.per_hour},
        "approval": list(words.approval(plan)),
        "scheduled": [upcoming_document(each) for each in plan.scheduled],
        "warnings": [
            {
                "code": each.code.value,
                "message": each.message,
                "hint": each.hint,
                "file": each.position.file,
                "line": each.position.line,
                "column": each.position.column,
            }
            for each in plan.warnings
        ],
        "folds": [_plan_group(each) for each in plan.groups],
        "items": [
            item_document(item, index, places)
            for index, each in enumerate(plan.groups)
            for item in each.items
        ],
    }


def _plan_group(each: PlanGroup) -> PlanGroupDocument:
    return {
        "risk": each.risk.value,
        "action": each.action,
        "group": each.group,
        "groupDisplayName": each.group_display_name,
        "cause": _cause(each.cause),
        "count": each.count,
        "toStart": each.to_start,
        "running": each.running,
        "disks": each.disks,
        "disksWithoutBackup": each.disks_without_backup,
        "bytesToMove": each.bytes_to_move,
        "estimatedSeconds": each.slowest_seconds,
        "oldestObservation": each.oldest.isoformat() if each.oldest else None,
        "newestObservation": each.newest.isoformat() if each.newest else None,
        "neverObserved": each.never_observed,
        "reasons": [
            {
                "text": reason.text,
                "count": reason.count,
                "unblock": reason.unblock,
                "wordings": reason.wordings,
            }
            for reason in each.reasons
        ],
        "names": list(each.names),
        "images": list(each.images),
        "digest": each.digest,
    }


def item_document(
    item: PlanItem, fold: int, places: Mapping[str, WavePlace] = MappingProxyType({})
) -> ItemDocument:
    """Return one item as JSON data; ``fold`` is the index of its plan group.

    ``places`` are the machines' places in rollouts.
    """
    place = places.get(item.machine) if item.disks else None
    document: ItemDocument = {
        "fold": fold,
        "machine": item.machine,
        "displayName": item.display_name,
        "formerly": item.formerly,
        "subject": item.subject,
        "group": item.group,
        "groupDisplayName": item.group_display_name,
        "risk": item.risk.value,
        "action": item.action,
        "reason": item.reason,
        "unblock": item.unblock,
        "cause": _cause(item.cause),
        "wave": place and {"number": place.number, "of": place.of, "name": place.name},
        "operation": item.operation.op_id if item.operation else None,
        "running": item.running,
        "disks": [_disk(disk) for disk in item.disks],
        "spared": list(item.spared),
        "images": [_image(image) for image in item.images],
        "bytesToMove": item.bytes_to_move,
        "estimatedSeconds": item.seconds,
        "observedAt": item.observed_at.isoformat() if item.observed_at else None,
    }
    if item.warnings:
        document["warnings"] = list(item.warnings)
    return document


def _cause(cause: Origin | None) -> CauseDocument | None:
    if cause is None:
        return None
    return {
        "file": cause.position.file,
        "line": cause.position.line,
        "column": cause.position.column,
        "inheritedAlong": list(cause.path),
    }


def _disk(disk: DiskFacts) -> DiskDocument:
    return {
        "model": disk.model,
        "serial": disk.serial,
        "wwn": disk.wwn,
        "size": disk.size,
        "holds": disk.holds,
        "partitions": list(disk.partitions),
        "observedAt": disk.observed_at.isoformat(),
        "backup": _backup(disk.backup),
    }


def _backup(backup: LastBackup | None) -> BackupDocument | None:
    if backup is None:
        return None
    document: BackupDocument = {
        "image": backup.image,
        "manifest": backup.manifest,
        "capturedAt": backup.at.isoformat(),
        "overwrittenSince": backup.overwritten_since,
    }
    if backup.unreadable_bytes:
        document["unreadableBytes"] = backup.unreadable_bytes
    return document


def _image(image: ImageChange) -> ImageDocument:
    document: ImageDocument = {
        "name": image.name,
        "displayName": image.display_name,
        "manifest": image.manifest,
        "replaces": image.replaces,
        "usedBytes": image.used_bytes,
        "createdAt": image.created.isoformat(),
        "system": image.system,
        "suitabilityUnknown": image.suitability_unknown,
        "emptiedPartitions": list(image.emptied),
    }
    if image.unreadable_bytes:
        document["unreadableBytes"] = image.unreadable_bytes
    if image.grows is not None:
        document["grows"] = [
            {
                "what": each.what,
                "filesystem": each.filesystem,
                "before": each.before,
                "after": each.after,
            }
            for each in image.grows
        ]
    return document
