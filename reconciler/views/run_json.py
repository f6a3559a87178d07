"""Runs as JSON data. Times are ISO 8601 in UTC, sizes bytes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from reconciler.state.machine_history import PastOperation
from reconciler.state.runs import RunSummary
from reconciler.views.machine_details import operation_document


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
    summary: RunSummary, operations: Iterable[PastOperation], now: datetime
) -> dict[str, Any]:
    """Return a run with everything that is recorded of its operations."""
    return {
        **summary_document(summary),
        "operations": [operation_document(each, now) for each in operations],
    }
