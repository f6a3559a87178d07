"""Runs: what was approved together, by whom and why, and how it went.

A run is one approval: of a plan (``apply``), of a scenario by hand (``run``), of one occurrence
of a schedule (``schedule``), or of what the server may start by itself (``unattended``). What
lapsed and was approved again belongs to both runs.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Literal, NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.errors import StateError
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.operation_states import OperationState

SHORTEST_BEGINNING = 4
"""Characters of an id that may stand for it."""
RunKind = Literal["apply", "run", "schedule", "unattended"]


class Run(NamedTuple):
    """One approval."""

    run_id: str
    kind: RunKind
    actor: str
    at: datetime
    reason: str
    """Why, in a person's words; empty where nobody was asked."""
    revision: str
    plan_digest: str


class RunSummary(NamedTuple):
    """A run and how far its operations are."""

    run: Run
    scenarios: tuple[str, ...]
    counts: Mapping[OperationState, int]

    @property
    def operations(self) -> int:
        """Return how many operations there are."""
        return sum(self.counts.values())


def run_name(at: datetime, text: str) -> str:
    """Return a name for what begins at a time: ``text`` tells it from others of that second."""
    return f"{at:%Y%m%d-%H%M%S}-{blake2b(text.encode(), digest_size=2).hexdigest()}"


def run_of(  # noqa: PLR0913, PLR0917 - all that is recorded of an approval
    kind: RunKind, actor: str, at: datetime, reason: str, revision: str, plan_digest: str
) -> Run:
    """Return the run of an approval; its id is made of the time and of everything else.

    What the server starts by itself, one machine at a time, is one run a day.
    """
    if kind == "unattended":
        return Run(f"{at:%Y%m%d}-unattended", kind, actor, at, reason, revision, "")
    run_id = run_name(at, f"{actor} {at.isoformat()} {reason} {plan_digest}")
    return Run(run_id, kind, actor, at, reason, revision, plan_digest)


def scheduled_run(schedule: str, moment: datetime) -> str:
    """Return the id of the run that an occurrence of a schedule is."""
    seconds = f"{moment:%S}" if moment.second else ""
    return f"{moment:%Y%m%d-%H%M}{seconds}-{schedule}"


def record_run(connection: Connection, run: Run, operations: Mapping[str, datetime | None]) -> None:
    """Write a run down, in the transaction that approves its operations.

    ``operations`` says of each by its id until when it may be armed; None for ever.
    """
    connection.execute(upsert(schema.run).values(run._asdict()).on_conflict_do_nothing())
    connection.execute(
        upsert(schema.run_operation).on_conflict_do_nothing(),
        [
            {"run_id": run.run_id, "op_id": op_id, "expires": expires}
            for op_id, expires in operations.items()
        ],
    )


class Runs:
    """What was approved, on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, limit: int, kinds: Iterable[RunKind]) -> tuple[RunSummary, ...]:
        """Return the newest runs of these kinds, the newest first."""
        table = schema.run
        query = (
            select(table)
            .where(table.c.kind.in_(tuple(kinds)))
            .order_by(table.c.at.desc(), table.c.run_id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            runs = [Run(*row) for row in connection.execute(query)]
            return tuple(_summary(connection, run) for run in runs)

    def find(self, name: str) -> Run:
        """Return the run whose id is or begins with ``name``; StateError RW707 if not one does.

        StateError RW973 for so short a beginning that it names a run by accident.
        """
        if len(name) < SHORTEST_BEGINNING:
            raise StateError(
                "RW973",
                f"{name!r} is too short to name a run",
                f"Give {SHORTEST_BEGINNING} characters or more; `rackwright runs --all` lists ids",
            )
        table = schema.run
        query = select(table).where(table.c.run_id.startswith(name, autoescape=True)).limit(2)
        with self._database.reading() as connection:
            found = [Run(*row) for row in connection.execute(query)]
        exact = [run for run in found if run.run_id == name]
        if len(exact or found) != 1:
            cause = f"several runs begin with {name}" if found else f"there is no run {name}"
            raise StateError("RW707", cause, "List them with `rackwright runs --all`")
        return (exact or found)[0]

    def summary(self, run: Run) -> RunSummary:
        """Return how far a run is."""
        with self._database.reading() as connection:
            return _summary(connection, run)

    def op_ids(self, run: Run) -> tuple[str, ...]:
        """Return the operations of a run."""
        table = schema.run_operation
        query = select(table.c.op_id).where(table.c.run_id == run.run_id)
        with self._database.reading() as connection:
            return tuple(connection.execute(query).scalars())


def expiry_of(database: Database, op_id: str) -> datetime | None:
    """Return until when an approved operation may be armed, by its newest run; None for ever."""
    mine, run = schema.run_operation, schema.run
    query = (
        select(mine.c.expires)
        .join(run, run.c.run_id == mine.c.run_id)
        .where(mine.c.op_id == op_id)
        .order_by(run.c.at.desc())
        .limit(1)
    )
    with database.reading() as connection:
        expires: datetime | None = connection.execute(query).scalar()
    return expires


def _summary(connection: Connection, run: Run) -> RunSummary:
    """Return how far a run is: the newest line of each of its operations counts."""
    mine, ledger, operation = schema.run_operation, schema.ledger, schema.operation
    newest = (
        select(func.max(ledger.c.sequence))
        .join(mine, mine.c.op_id == ledger.c.op_id)
        .where(mine.c.run_id == run.run_id)
        .group_by(ledger.c.op_id)
    )
    scenario = func.json_extract(operation.c.body, "$.scenario")
    rows = connection.execute(
        select(ledger.c.state, scenario, func.count())
        .join(operation, operation.c.op_id == ledger.c.op_id)
        .where(ledger.c.sequence.in_(newest))
        .group_by(ledger.c.state, scenario)
    )
    counts: dict[OperationState, int] = {}
    scenarios = set()
    for state, name, count in rows:
        counts[OperationState(state)] = counts.get(OperationState(state), 0) + count
        scenarios.add(name)
    return RunSummary(run, tuple(sorted(scenarios)), counts)
