"""Runs as CSV: one line for each operation and step, for spreadsheets and reports."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO

from reconciler.authoring.spreadsheet import uncalculated
from reconciler.state.machine_history import PastOperation
from reconciler.state.runs import Run

COLUMNS = (
    "run",
    "kind",
    "by",
    "approved",
    "reason",
    "revision",
    "plan",
    "operation",
    "machine",
    "scenario",
    "run token",
    "state",
    "cause",
    "attempt",
    "step",
    "step began",
    "step ended",
    "bytes",
)


def runs_csv(runs: Iterable[tuple[Run, Iterable[PastOperation]]]) -> str:
    """Return the text; an operation of which no step is known has one line."""
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for run, operations in runs:
        for each in operations:
            writer.writerows([uncalculated(cell) for cell in row] for row in _rows(run, each))
    return out.getvalue()


def _rows(run: Run, each: PastOperation) -> Iterator[tuple[str, ...]]:
    operation, last = each.operation, each.lines[-1]
    head = (
        run.run_id,
        run.kind,
        run.actor,
        run.at.isoformat(),
        run.reason,
        run.revision,
        run.plan_digest,
        operation.op_id,
        operation.machine,
        operation.scenario,
        operation.run,
        each.state.value,
        last.reason,
    )
    if not each.known_steps:
        yield (*head, str(last.attempt), "", "", "", "")
    for step in each.known_steps:
        yield (
            *head,
            str(step.attempt),
            operation.instructions.steps[step.step].STEP_TYPE,
            step.began_at.isoformat(),
            step.ended_at.isoformat() if step.ended_at else "",
            str(step.bytes_done),
        )
