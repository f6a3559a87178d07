"""Runs as JSON data. Times are ISO 8601 in UTC, sizes bytes."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from reconciler.state.machine_history import PastOperation
from reconciler.state.run_evidence import EvidenceFile
from reconciler.state.runs import RunSummary
from reconciler.views.machine_details import operation_document
from reconciler.views.run_log import evidence_document


def summary_document(summary: RunSummary) -> dict[str, Any]:
    """Return who approved what and why, and how many operations stand where."""
    run = summary.run
    return {
        "run": run.run_id,
        "kind": run.kind,
        "by": run.actor,
        "at": run.at.isoformat(),
        "reason": run.reason,
        "revision": run.revision,
        "plan": run.plan_digest,
        "scenarios": list(summary.scenarios),
        "counts": {state.value: count for state, count in summary.counts.items()},
    }


def run_document(
    summary: RunSummary,
    operations: Iterable[PastOperation],
    evidence: Mapping[str, Iterable[EvidenceFile]],
    now: datetime,
) -> dict[str, Any]:
    """Return a run with everything that is recorded of its operations."""
    return {
        **summary_document(summary),
        "operations": [
            {
                **operation_document(each, now),
                "evidence": [
                    evidence_document(file) for file in evidence.get(each.operation.op_id, ())
                ],
            }
            for each in operations
        ],
    }
