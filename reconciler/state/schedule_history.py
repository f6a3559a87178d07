"""What schedules did: up to when each was looked at, its occurrences, and their machines.

An occurrence is written down before anything of it begins, and a machine's part in the
transaction that approves its work, so that a crash runs nothing twice and loses nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple, Self

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from reconciler.state import schema
from reconciler.state.database import Database
from specs.fleet import CompiledMachine

OccurrenceState = Literal["open", "over", "left-out"]
MachineState = Literal["waiting", "begun", "done", "left-out"]
"""``begun``: its work is approved. ``done``: nothing of the schedule follows there."""
_BEGUN = ("begun", "done")
_FARTHEST_LAST = ("waiting", "left-out", "begun", "done")
KEPT = 20
"""Occurrences of one schedule of which single machines are remembered."""


class Handled(NamedTuple):
    """Up to when a schedule was looked at."""

    schedule: str
    rhythm: str
    """Of the document that was looked at."""
    until: datetime


class PastOccurrence(NamedTuple):
    """What became of a moment at which a schedule acts."""

    schedule: str
    moment: datetime
    state: OccurrenceState
    begins_at: datetime
    """From when on machines begin: later than the moment where that was missed."""
    reason: str
    """Why it was left out."""
    run_id: str
    """The run of its operations, which may be none."""


class MachinePart(NamedTuple):
    """What became of one machine at an occurrence."""

    machine: str
    state: MachineState
    reason: str
    op_id: str
    """Empty where there is no operation."""
    at: datetime
    identities: str = ""
    """All that its hardware was known by, separated by spaces; empty in parts of long ago."""

    @classmethod
    def of(
        cls, machine: CompiledMachine, state: MachineState, reason: str, op_id: str, at: datetime
    ) -> Self:
        """Return the part of a machine as it is known now."""
        return cls(machine.name, state, reason, op_id, at, " ".join(machine.hardware_identities))


_PART = tuple(schema.schedule_machine.c[name] for name in MachinePart._fields)


class ScheduleHistory:
    """What schedules did, on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def handled(self) -> dict[str, Handled]:
        """Return up to when each schedule was looked at, by its name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.schedule_handled))
            return {row.schedule: Handled(*row) for row in rows}

    def forget(self, schedules: Iterable[str]) -> None:
        """Forget up to when schedules were looked at: one of that name would be a new one."""
        table = schema.schedule_handled
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.schedule.in_(list(schedules))))

    def open(self) -> tuple[PastOccurrence, ...]:
        """Return the occurrences that are not over, oldest first."""
        table = schema.schedule_occurrence
        query = select(table).where(table.c.state == "open").order_by(table.c.moment)
        with self._database.reading() as connection:
            return tuple(PastOccurrence(*row) for row in connection.execute(query))

    def newest(self, schedule: str, most: int) -> tuple[PastOccurrence, ...]:
        """Return the newest occurrences of a schedule, the newest first."""
        table = schema.schedule_occurrence
        query = (
            select(table)
            .where(table.c.schedule == schedule)
            .order_by(table.c.moment.desc())
            .limit(most)
        )
        with self._database.reading() as connection:
            return tuple(PastOccurrence(*row) for row in connection.execute(query))

    def machines(self, occurrence: PastOccurrence) -> Mapping[str, MachinePart]:
        """Return what became of the machines so far, by their names."""
        table = schema.schedule_machine
        query = (
            select(*_PART)
            .where(table.c.schedule == occurrence.schedule, table.c.moment == occurrence.moment)
            .order_by(table.c.machine)
        )
        with self._database.reading() as connection:
            return {row.machine: MachinePart(*row) for row in connection.execute(query)}

    def machine(self, schedule: str, moment: datetime, machine: str) -> MachinePart | None:
        """Return what became of one machine; None where nothing is written down yet."""
        table = schema.schedule_machine
        query = select(*_PART).where(
            table.c.schedule == schedule, table.c.moment == moment, table.c.machine == machine
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
            return None if row is None else MachinePart(*row)

    def handle(self, handled: Handled, found: Iterable[PastOccurrence]) -> list[PastOccurrence]:
        """Note that a schedule was looked at, and what was found: all of it or nothing.

        Return those that were not known before.
        """
        row = handled._asdict()
        with self._database.writing() as connection:
            connection.execute(
                upsert(schema.schedule_handled)
                .values(row)
                .on_conflict_do_update(index_elements=["schedule"], set_=row)
            )
            return [each for each in found if _add(connection, each)]

    def end(self, schedule: str, moment: datetime, reason: str = "") -> None:
        """Note that an occurrence is over, and forget the machines of those long ago."""
        table, machine = schema.schedule_occurrence, schema.schedule_machine
        kept = (
            select(table.c.moment)
            .where(table.c.schedule == schedule)
            .order_by(table.c.moment.desc())
            .limit(KEPT)
        )
        with self._database.writing() as connection:
            connection.execute(
                update(table)
                .where(table.c.schedule == schedule, table.c.moment == moment)
                .values(state="over", reason=reason)
            )
            connection.execute(
                delete(machine).where(machine.c.schedule == schedule, machine.c.moment.not_in(kept))
            )

    def record(self, schedule: str, moment: datetime, part: MachinePart) -> None:
        """Note what became of a machine."""
        with self._database.writing() as connection:
            record_machine(connection, schedule, moment, part)

    def tell(
        self, schedule: str, moment: datetime, machine: str, reason: str, state: MachineState
    ) -> None:
        """Say more of a machine's part that is over; nothing where there is no such part."""
        table = schema.schedule_machine
        same = (table.c.schedule == schedule, table.c.moment == moment)
        with self._database.writing() as connection:
            connection.execute(
                update(table)
                .where(*same, table.c.machine == machine, table.c.state.in_(("done", "left-out")))
                .values(reason=reason, state=state)
            )

    def follow_names(
        self, occurrence: PastOccurrence, name_of: Callable[[MachinePart], str]
    ) -> Mapping[str, MachinePart]:
        """Have each machine's part stand under its name of now; return them by these names.

        Of parts that get one name, the one that came farthest stays.
        """
        known = self.machines(occurrence)
        farthest_last = sorted(known.values(), key=lambda each: _FARTHEST_LAST.index(each.state))
        renamed = (part._replace(machine=name_of(part)) for part in farthest_last)
        named = {part.machine: part for part in renamed}
        if named == known:
            return known
        table = schema.schedule_machine
        key = {"schedule": occurrence.schedule, "moment": occurrence.moment}
        with self._database.writing() as connection:
            connection.execute(
                delete(table).where(*(table.c[name] == value for name, value in key.items()))
            )
            connection.execute(
                upsert(table), [{**key, **part._asdict()} for part in named.values()]
            )
        return named

    def counts(self, occurrence: PastOccurrence) -> dict[str, int]:
        """Return how many machines stand where.

        By the state of the machine's operation where it has begun one, else by its own.
        """
        mine = schema.schedule_machine
        query = (
            select(mine.c.state, func.count())
            .where(mine.c.schedule == occurrence.schedule, mine.c.moment == occurrence.moment)
            .where((mine.c.op_id == "") | mine.c.state.not_in(_BEGUN))
            .group_by(mine.c.state)
        )
        with self._database.reading() as connection:
            own = {str(state): count for state, count in connection.execute(query)}
        return {**self._operation_states(occurrence), **own}

    def _operation_states(self, occurrence: PastOccurrence) -> dict[str, int]:
        mine, ledger = schema.schedule_machine, schema.ledger
        newest = (
            select(func.max(ledger.c.sequence))
            .join(mine, mine.c.op_id == ledger.c.op_id)
            .where(mine.c.schedule == occurrence.schedule, mine.c.moment == occurrence.moment)
            .where(mine.c.state.in_(_BEGUN))
            .group_by(ledger.c.op_id)
        )
        query = (
            select(ledger.c.state, func.count())
            .where(ledger.c.sequence.in_(newest))
            .group_by(ledger.c.state)
        )
        with self._database.reading() as connection:
            return {str(state): count for state, count in connection.execute(query)}


def record_machine(
    connection: Connection, schedule: str, moment: datetime, part: MachinePart
) -> None:
    """Do what ``ScheduleHistory.record`` does as a part of the caller's transaction.

    An operation that was noted before stays where ``part`` has none.
    """
    row = {"schedule": schedule, "moment": moment, **part._asdict()}
    changes = row if part.op_id else {key: row[key] for key in row if key != "op_id"}
    connection.execute(
        upsert(schema.schedule_machine)
        .values(row)
        .on_conflict_do_update(index_elements=["schedule", "moment", "machine"], set_=changes)
    )


def _add(connection: Connection, occurrence: PastOccurrence) -> bool:
    table = schema.schedule_occurrence
    added = connection.execute(upsert(table).values(occurrence._asdict()).on_conflict_do_nothing())
    return bool(added.rowcount)
