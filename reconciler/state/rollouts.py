"""Rollouts on the state database: which wave is open, and what became of each machine.

A rollout is made with the approval whose disks it orders, and keeps the terms of that moment. It
goes from wave to wave (``running``), may be ``halted`` by failures or by a person, and ends as
``done`` or ``aborted``. Whatever changes it is one transaction that also writes an event.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from json import dumps, loads
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    func,
    insert,
    select,
    update,
)

from reconciler.errors import OvertakenError, StateError
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.operation_states import ACTIVE, OperationState
from reconciler.state.runs import Run, run_name
from specs.fleet import HealthCheck

RolloutState = Literal["running", "halted", "done", "aborted"]
Outcome = Literal["", "healthy", "failed", "withdrawn", "accepted"]
"""What became of a machine in its wave. Empty: nothing yet. ``withdrawn``: its work was cancelled
or its approval taken back. ``accepted``: it ended otherwise, and a person resumed the rollout."""
NOT_HEALTHY = "RW657"
"""With this code begins the reason of a machine that failed its health check."""
GOES_ON: tuple[RolloutState, ...] = ("running", "halted")
_TABLE, _MACHINE, _EVENT = schema.rollout, schema.rollout_machine, schema.rollout_event


class RolloutTerms(NamedTuple):
    """What was approved of a rollout, besides who is in which wave."""

    waves: tuple[str, ...]
    """Their names."""
    health: HealthCheck
    max_failures: int

    def as_text(self) -> str:
        """Return the JSON that is kept."""
        return dumps({**self._asdict(), "health": self.health._asdict()}, sort_keys=True)

    @classmethod
    def of_text(cls, text: str) -> "RolloutTerms":
        """Return what was kept."""
        kept = loads(text)
        health = kept.pop("health")
        check = HealthCheck(**{**health, "command": tuple(health["command"])})
        return cls(tuple(kept["waves"]), check, kept["max_failures"])


class Rollout(NamedTuple):
    """How far a rollout is."""

    rollout_id: str
    run_id: str
    group: str
    """Whose document ordered it; empty: the Fleet's."""
    at: datetime
    terms: RolloutTerms
    wave: int
    """The one that is open, from 1."""
    state: RolloutState
    since: datetime
    """When it came to its wave or state."""
    reason: str

    @property
    def whose(self) -> str:
        """Return ``the fleet`` or ``tokyo/row2``."""
        return self.group or "the fleet"

    def wave_name(self, number: int) -> str:
        """Return ``wave 2 of 3 (10 %)``."""
        return f"wave {number} of {len(self.terms.waves)} ({self.terms.waves[number - 1]})"

    def hold(self, wave: int) -> str:
        """Return why work in a wave may not begin, as a clause; empty where it may."""
        if self.state == "halted":
            return f"rollout {self.rollout_id}, which is halted"
        if self.state == "running" and wave > self.wave:
            return (
                f"its turn in rollout {self.rollout_id}: it is in {self.wave_name(wave)}, and wave "
                f"{self.wave} ({self.terms.waves[self.wave - 1]}) comes first"
            )
        return ""


Counts = Mapping[int, Mapping[Outcome, int]]
"""Of each wave, how many machines ended how."""


class RolloutProgress(NamedTuple):
    """A rollout and what became of its machines so far."""

    rollout: Rollout
    counts: Counts


class Member(NamedTuple):
    """One machine's work in a rollout."""

    op_id: str
    machine: str
    """What it was called when it was approved."""
    wave: int
    outcome: Outcome
    reason: str
    """Of the outcome; of the operation's state where there is none yet."""
    problem: str
    """Why it is not healthy yet, as the last look found; empty where none found anything."""
    state: OperationState
    """The operation's, as the ledger has it now."""
    at: datetime
    """When it came to that state."""


class Unhealthy(NamedTuple):
    """Why a machine failed the health check of a rollout although its work is verified."""

    rollout_id: str
    reason: str
    at: datetime


class RolloutEvent(NamedTuple):
    """Something that changed a rollout."""

    what: str
    at: datetime
    actor: str
    reason: str


class NewRollout(NamedTuple):
    """A rollout that is to begin."""

    group: str
    terms: RolloutTerms
    waves: tuple[tuple[str, ...], ...]
    """The operations of each wave, by their ids."""


def begin_rollout(
    connection: Connection, run: Run, new: NewRollout, machine_of: Mapping[str, str]
) -> None:
    """Write a rollout down, in the transaction that approves its work.

    ``machine_of`` are the machines' names by operation.
    """
    rollout_id = run_name(run.at, f"{run.run_id} {new.group}")
    row = {
        "rollout_id": rollout_id,
        "run_id": run.run_id,
        "group": new.group,
        "at": run.at,
        "terms": new.terms.as_text(),
        "wave": 1,
        "state": "running",
        "since": run.at,
        "reason": "",
    }
    connection.execute(insert(_TABLE).values(row))
    connection.execute(
        insert(_MACHINE),
        [
            {
                "rollout_id": rollout_id,
                "op_id": op_id,
                "machine": machine_of[op_id],
                "wave": number,
                "outcome": "",
                "reason": "",
            }
            for number, wave in enumerate(new.waves, 1)
            for op_id in wave
        ],
    )
    _note(connection, rollout_id, "begun", run.at, run.actor, run.reason)


def leave_rollouts(connection: Connection, op_ids: Iterable[str], at: datetime) -> None:
    """Take operations that are approved anew out of the rollouts in which they wait."""
    left = (
        update(_MACHINE)
        .where(_MACHINE.c.op_id == bindparam("left"), _MACHINE.c.outcome == "")
        .values(outcome="withdrawn", at=at, reason="it was approved anew")
    )
    rows = [{"left": op_id} for op_id in op_ids]
    if rows:
        connection.execute(left, rows)


class Rollouts:
    """Reads and moves rollouts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- reading ---------------------------------------------------------------------

    def active(self) -> tuple[Rollout, ...]:
        """Return the rollouts that have not ended, the oldest first."""
        query = select(_TABLE).where(_TABLE.c.state.in_(GOES_ON))
        return self._read(query.order_by(_TABLE.c.at, _TABLE.c.rollout_id))

    def newest(self, limit: int) -> tuple[RolloutProgress, ...]:
        """Return the newest rollouts, the newest first."""
        query = select(_TABLE).order_by(_TABLE.c.at.desc(), _TABLE.c.rollout_id).limit(limit)
        return tuple(map(self.progress, self._read(query)))

    def progress(self, rollout: Rollout) -> RolloutProgress:
        """Return a rollout with what became of its machines so far."""
        return RolloutProgress(rollout, self.counts(rollout.rollout_id))

    def find(self, name: str) -> Rollout:
        """Return the rollout whose id is or begins with ``name``, or which a run so named began.

        StateError RW655 where not exactly one does.
        """
        found = [
            each
            for column in (_TABLE.c.rollout_id, _TABLE.c.run_id)
            for each in self._read(
                select(_TABLE).where(column.startswith(name, autoescape=True)).limit(3)
            )
        ]
        named = {each.rollout_id: each for each in found if name}
        exact = [each for each in named.values() if each.rollout_id == name]
        chosen = exact or list(named.values())
        if len(chosen) != 1:
            cause = (
                f"several rollouts begin with {name}" if chosen else f"there is no rollout {name}"
            )
            raise StateError("RW655", cause, "List them with `rackwright rollout`")
        return chosen[0]

    def members(self, rollout_id: str, wave: int | None = None) -> tuple[Member, ...]:
        """Return the machines of a rollout, or of one of its waves, by wave and name."""
        mine = _MACHINE.c.rollout_id == rollout_id
        if wave is not None:
            mine &= _MACHINE.c.wave == wave
        return self._members(mine)

    def waiting(self, op_ids: Collection[str]) -> tuple[Member, ...]:
        """Return of these operations those of which nothing has become yet in their rollout."""
        mine = _MACHINE.c.op_id.in_(list(op_ids)) & (_MACHINE.c.outcome == "")
        return self._members(mine)

    def under_way_after(self, rollout: Rollout, wave: int) -> bool:
        """Return whether work of waves after this one is under way, or may still begin."""
        current = schema.current_operation
        query = (
            select(_MACHINE.c.op_id)
            .join(current, current.c.op_id == _MACHINE.c.op_id)
            .where(
                _MACHINE.c.rollout_id == rollout.rollout_id,
                _MACHINE.c.wave > wave,
                _MACHINE.c.outcome == "",
                current.c.state.in_([each.value for each in ACTIVE]),
            )
            .limit(1)
        )
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def counts(self, rollout_id: str) -> Counts:
        """Return how many machines of each wave ended how."""
        query = (
            select(_MACHINE.c.wave, _MACHINE.c.outcome, func.count())
            .where(_MACHINE.c.rollout_id == rollout_id)
            .group_by(_MACHINE.c.wave, _MACHINE.c.outcome)
            .order_by(_MACHINE.c.wave)
        )
        found: dict[int, dict[Outcome, int]] = {}
        with self._database.reading() as connection:
            for wave, outcome, count in connection.execute(query):
                found.setdefault(wave, {})[outcome] = count
        return found

    def events(self, rollout_id: str) -> tuple[RolloutEvent, ...]:
        """Return what changed a rollout, the oldest first."""
        query = (
            select(_EVENT.c.what, _EVENT.c.at, _EVENT.c.actor, _EVENT.c.reason)
            .where(_EVENT.c.rollout_id == rollout_id)
            .order_by(_EVENT.c.sequence)
        )
        with self._database.reading() as connection:
            return tuple(RolloutEvent(*row) for row in connection.execute(query))

    def newest_event(self) -> int:
        """Return the number of the newest event; 0 where there is none."""
        with self._database.reading() as connection:
            return connection.execute(select(func.max(_EVENT.c.sequence))).scalar() or 0

    def hold_of(self, op_id: str) -> str:
        """Return why an operation may not begin yet, as a clause; empty where it may."""
        with self._database.reading() as connection:
            return self.hold_within(connection, op_id)

    @staticmethod
    def hold_within(connection: Connection, op_id: str) -> str:
        """Do what ``hold_of`` does as a part of the caller's transaction."""
        return _holds(connection, _MACHINE.c.op_id == op_id).get(op_id, "")

    def require_open_within(self, connection: Connection, op_id: str) -> None:
        """Refuse to begin what has to wait by now (OvertakenError RW656)."""
        hold = self.hold_within(connection, op_id)
        if hold:
            raise OvertakenError("RW656", f"it waits for {hold}", "It is looked at again")

    def holds(self) -> dict[str, str]:
        """Return by operation why it may not begin yet, as a clause; what may is left out."""
        with self._database.reading() as connection:
            return _holds(connection, _TABLE.c.state.in_(GOES_ON))

    def unhealthy(self) -> dict[str, Unhealthy]:
        """Return by verified operation why its machine failed its health check.

        Left out is what a person decided on: by resuming or aborting the rollout.
        """
        current = schema.current_operation
        query = (
            select(_MACHINE.c.op_id, _MACHINE.c.rollout_id, _MACHINE.c.reason, _MACHINE.c.at)
            .join(current, current.c.op_id == _MACHINE.c.op_id)
            .join(_TABLE, _TABLE.c.rollout_id == _MACHINE.c.rollout_id)
            .where(
                _TABLE.c.state.in_(GOES_ON),
                _MACHINE.c.outcome == "failed",
                _MACHINE.c.reason.startswith(f"{NOT_HEALTHY}:"),
                current.c.state == OperationState.VERIFIED.value,
            )
            .order_by(_MACHINE.c.at)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {op_id: Unhealthy(*said) for op_id, *said in rows}

    def _read(self, query: Select[tuple[object, ...]]) -> tuple[Rollout, ...]:
        with self._database.reading() as connection:
            return tuple(map(_rollout, connection.execute(query)))

    def _members(self, mine: ColumnElement[bool]) -> tuple[Member, ...]:
        ledger = schema.ledger
        newest = (
            select(func.max(ledger.c.sequence))
            .where(ledger.c.op_id.in_(select(_MACHINE.c.op_id).where(mine)))
            .group_by(ledger.c.op_id)
        )
        lines = select(ledger.c.op_id, ledger.c.state, ledger.c.at, ledger.c.reason).where(
            ledger.c.sequence.in_(newest)
        )
        machines = select(_MACHINE).where(mine).order_by(_MACHINE.c.wave, _MACHINE.c.machine)
        with self._database.reading() as connection:
            states = {op_id: _Line(*line) for op_id, *line in connection.execute(lines)}
            rows = connection.execute(machines).all()
        return tuple(_member(row, states[row.op_id]) for row in rows)

    # --- moving ----------------------------------------------------------------------

    def conclude(
        self, rollout_id: str, outcomes: Mapping[str, tuple[Outcome, str]], at: datetime
    ) -> None:
        """Write down what became of operations in a rollout, and why.

        Without an outcome, only what there is to say of them so far.
        """
        with self._database.writing() as connection:
            _conclude(connection, rollout_id, outcomes, at)

    def open_wave(self, rollout: Rollout, wave: int, at: datetime, actor: str) -> bool:
        """Let the machines of the next wave begin; False where the rollout moved meanwhile."""
        reason = rollout.wave_name(wave)
        with self._database.writing() as connection:
            return _move(connection, rollout, "running", at, wave=wave, reason="") and _note(
                connection, rollout.rollout_id, "opened", at, actor, reason
            )

    def end(self, rollout: Rollout, at: datetime, actor: str, reason: str) -> bool:
        """End a rollout that is through; False where it moved meanwhile."""
        with self._database.writing() as connection:
            return _move(connection, rollout, "done", at, reason=reason) and _note(
                connection, rollout.rollout_id, "done", at, actor, reason
            )

    def halt(
        self, rollout: Rollout, at: datetime, actor: str, reason: str, *, by_person: bool = False
    ) -> bool:
        """Let nothing more begin until a person says so; False where it moved meanwhile."""
        told = f"{actor} says: {reason}" if by_person else reason
        with self._database.writing() as connection:
            return _move(connection, rollout, "halted", at, reason=told) and _note(
                connection, rollout.rollout_id, "halted", at, actor, reason
            )

    def resume(
        self, rollout: Rollout, late: Mapping[str, str], at: datetime, actor: str, reason: str
    ) -> None:
        """Let a halted rollout go on; what ended otherwise than well is accepted.

        ``late`` are operations that did so since it was halted, when nobody wrote it down, and why.
        StateError RW656 where it is not halted.
        """
        with self._database.writing() as connection:
            if rollout.state != "halted" or not _move(
                connection, rollout, "running", at, reason=""
            ):
                raise not_in_state(rollout, "resumed", "halted")
            accepted: dict[str, tuple[Outcome, str]] = {
                op_id: ("accepted", why) for op_id, why in late.items()
            }
            _conclude(connection, rollout.rollout_id, accepted, at)
            connection.execute(
                update(_MACHINE)
                .where(
                    _MACHINE.c.rollout_id == rollout.rollout_id,
                    _MACHINE.c.outcome.in_(("failed", "withdrawn")),
                )
                .values(outcome="accepted")
            )
            _note(connection, rollout.rollout_id, "resumed", at, actor, reason)


def _holds(connection: Connection, which: ColumnElement[bool]) -> dict[str, str]:
    query = (
        select(_TABLE, _MACHINE.c.op_id, _MACHINE.c.wave.label("own_wave"))
        .join(_MACHINE, _MACHINE.c.rollout_id == _TABLE.c.rollout_id)
        .where(which, _MACHINE.c.outcome == "")
    )
    known: dict[str, Rollout] = {}
    found: dict[str, str] = {}
    for row in connection.execute(query):
        rollout = known.get(row.rollout_id) or _rollout(row)
        known[row.rollout_id] = rollout
        hold = rollout.hold(row.own_wave)
        if hold:
            found[row.op_id] = hold
    return found


def abort_within(  # noqa: PLR0913, PLR0917 - what it becomes, and by whom
    connection: Connection,
    rollout: Rollout,
    outcomes: Mapping[str, tuple[Outcome, str]],
    at: datetime,
    actor: str,
    reason: str,
) -> None:
    """End a rollout for good; the caller cancels what has not begun in the same transaction.

    ``outcomes`` is what became of its machines by that; who is at work has none. StateError
    RW656 where it has ended.
    """
    if not _move(connection, rollout, "aborted", at, reason=reason):
        raise not_in_state(rollout, "aborted", "running or halted")
    _conclude(connection, rollout.rollout_id, outcomes, at)
    _note(connection, rollout.rollout_id, "aborted", at, actor, reason)


def not_in_state(rollout: Rollout, verb: str, wanted: str) -> StateError:
    """Return the refusal to move a rollout that is not in the state for it."""
    return StateError(
        "RW656",
        f"rollout {rollout.rollout_id} cannot be {verb}: it is not {wanted}, or moved just now",
        f"See `rackwright rollout show {rollout.rollout_id}`",
    )


def _move(  # noqa: PLR0913 - what it becomes
    connection: Connection,
    rollout: Rollout,
    state: RolloutState,
    at: datetime,
    *,
    wave: int | None = None,
    reason: str,
) -> bool:
    """Move a rollout if it is as it was read."""
    found = connection.execute(
        update(_TABLE)
        .where(
            _TABLE.c.rollout_id == rollout.rollout_id,
            _TABLE.c.state == rollout.state,
            _TABLE.c.state.in_(GOES_ON),
            _TABLE.c.wave == rollout.wave,
        )
        .values(state=state, wave=wave or rollout.wave, since=at, reason=reason)
    )
    if found.rowcount != 1:
        return False
    if state == "done":
        connection.execute(
            update(_MACHINE)
            .where(_MACHINE.c.rollout_id == rollout.rollout_id, _MACHINE.c.outcome == "")
            .values(outcome="withdrawn", at=at, reason="the rollout is done")
        )
    return True


def _note(  # noqa: PLR0913, PLR0917 - a whole event
    connection: Connection, rollout_id: str, what: str, at: datetime, actor: str, reason: str
) -> bool:
    event = RolloutEvent(what, at, actor, reason)
    connection.execute(insert(_EVENT).values(rollout_id=rollout_id, **event._asdict()))
    return True


def _conclude(
    connection: Connection,
    rollout_id: str,
    outcomes: Mapping[str, tuple[Outcome, str]],
    at: datetime,
) -> None:
    if not outcomes:
        return
    connection.execute(
        update(_MACHINE)
        .where(
            _MACHINE.c.rollout_id == rollout_id,
            _MACHINE.c.op_id == bindparam("mine"),
            _MACHINE.c.outcome == "",
        )
        .values(outcome=bindparam("became"), at=at, reason=bindparam("why")),
        [
            {"mine": op_id, "became": outcome, "why": reason}
            for op_id, (outcome, reason) in outcomes.items()
        ],
    )


def _rollout(row: Row[Any]) -> Rollout:
    return Rollout(
        rollout_id=row.rollout_id,
        run_id=row.run_id,
        group=row.group,
        at=row.at,
        terms=RolloutTerms.of_text(row.terms),
        wave=row.wave,
        state=row.state,
        since=row.since,
        reason=row.reason,
    )


class _Line(NamedTuple):
    """The newest line of an operation."""

    state: str
    at: datetime
    reason: str


def _member(row: Row[Any], line: _Line) -> Member:
    return Member(
        op_id=row.op_id,
        machine=row.machine,
        wave=row.wave,
        outcome=row.outcome,
        reason=row.reason if row.outcome else line.reason,
        problem="" if row.outcome else row.reason,
        state=OperationState(line.state),
        at=line.at,
    )
