"""Carries rollouts from wave to wave: what its machines' work became, and their health.

The loop asks ``Rollouts.hold_of`` before it arms; this opens the waves that it asks about. All
that decides is in the database, so that a server that begins anew goes on where another ended;
only since when a machine's health is asked for begins anew with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from reconciler.loop.hearing import ever
from reconciler.loop.reconcile import SERVER, Reconciler
from reconciler.loop.rollout_moves import (
    Finish,
    Halt,
    Move,
    OpenWave,
    look_at,
    next_move,
    outcome_of,
    unheard,
)
from reconciler.state.database import Database
from reconciler.state.operations import Operations
from reconciler.state.rollouts import Member, Outcome, Rollout, Rollouts
from specs.fleet import HealthCheck
from specs.types.quantities import Duration

AGAIN = timedelta(seconds=10)
"""Between two looks at one machine's health."""
AT_ONCE = 20
"""Machines whose health is looked at at one moment."""
_LINES = 250

log = structlog.get_logger(__name__)


class Look(NamedTuple):
    """One look at a machine's health that is due."""

    op_id: str
    machine: str
    hostname: str
    address: str
    """Of the installed system, else of the document; empty where nobody knows one."""
    check: HealthCheck


@dataclass
class _Asked:
    """How far the looks at one machine's health are."""

    again: datetime
    under_way: bool = False


@dataclass
class _Running:
    """A running rollout and what is known of its open wave."""

    rollout: Rollout
    members: dict[str, Member]
    failed_before: tuple[str, ...]
    asked: dict[str, _Asked] = field(default_factory=dict)


class RolloutRunner:
    """Moves rollouts; all calls come from the event loop's thread."""

    def __init__(
        self,
        database: Database,
        reconciler: Reconciler,
        clock: Callable[[], datetime],
        hears_since: Callable[[], datetime] = ever,
    ) -> None:
        self._rollouts = Rollouts(database)
        self._operations = Operations(database)
        self._reconciler = reconciler
        self._clock = clock
        self._hears_since = hears_since
        self._running: dict[str, _Running] = {}
        self._event = -1
        self._line = 0

    def step(self) -> None:
        """Take notice of what happened, and do what follows.

        StateError where the state cannot be read or written; the next step does it then.
        """
        event = self._rollouts.newest_event()
        if event != self._event:
            self._read()
            self._event = event
        self._follow_ledger()
        for each in tuple(self._running.values()):
            self._move_on(each)

    def looks(self) -> tuple[Look, ...]:
        """Return the looks at machines' health that are due; ``looked`` takes what they find."""
        now, found = self._clock(), []
        asked = [each for running in self._running.values() for each in running.asked.values()]
        room = AT_ONCE - sum(each.under_way for each in asked)
        for running in self._running.values():
            for op_id, each in tuple(running.asked.items()):
                if room > 0 and not each.under_way and each.again <= now:
                    look = self._look(running, running.members[op_id])
                    each.under_way = look is not None
                    if look is not None:
                        found.append(look)
                        room -= 1
        return tuple(found)

    def looked(self, look: Look, problem: str) -> None:
        """Take notice of what a look found: empty for a healthy machine. StateError as ``step``."""
        for running in self._running.values():
            asked = running.asked.get(look.op_id)
            if asked is not None:
                asked.under_way = False
                self._judge(running, running.members[look.op_id], problem)

    # --- what is known ---------------------------------------------------------------

    def _read(self) -> None:
        """Read all running rollouts anew."""
        line = self._operations.newest_line()
        before, self._running = self._running, {}
        for rollout in self._rollouts.active():
            if rollout.state == "running":
                found = self._begun(rollout)
                known = before.get(rollout.rollout_id)
                if known is None:  # it is new, or a person resumed it
                    self._reconciler.ask_operations(found.members)
                else:
                    asked = known.asked.items()
                    found.asked = {key: each for key, each in asked if key in found.members}
                self._running[rollout.rollout_id] = found
        self._line = line

    def _begun(self, rollout: Rollout) -> _Running:
        counts = self._rollouts.counts(rollout.rollout_id)
        earlier = [
            each.machine
            for number, outcomes in counts.items()
            if number < rollout.wave and outcomes.get("failed")
            for each in self._rollouts.members(rollout.rollout_id, number)
            if each.outcome == "failed"
        ]
        members = self._rollouts.members(rollout.rollout_id, rollout.wave)
        return _Running(
            rollout,
            {each.op_id: each for each in members},
            tuple(earlier),
        )

    def _follow_ledger(self) -> None:
        """Read anew what moved of the open waves."""
        while self._running:
            line, moved = self._operations.moved_since(self._line, _LINES)
            if line == self._line:
                return
            of = {op_id: each for each in self._running.values() for op_id in each.members}
            known = [op_id for op_id in moved if op_id in of]
            for member in self._rollouts.waiting(known) if known else ():
                of[member.op_id].members[member.op_id] = member
            self._line = line

    # --- what follows ----------------------------------------------------------------

    def _move_on(self, running: _Running) -> None:
        now, health = self._clock(), running.rollout.terms.health
        outcomes: dict[str, tuple[Outcome, str]] = {}
        for op_id, member in running.members.items():
            if member.outcome:
                continue
            found = outcome_of(member, health)
            if found is not None:
                outcomes[op_id] = found
            elif op_id not in running.asked and (due := self._due(member, health)) is not None:
                running.asked[op_id] = _Asked(due)
        if outcomes:
            self._conclude(running, outcomes, now)
        members = running.members.values()
        is_over = all(each.outcome for each in members)
        more_wait = not is_over or self._rollouts.more_wait(running.rollout)
        move = next_move(running.rollout, members, running.failed_before, more_wait=more_wait)
        if move is not None:
            self._carry_out(running.rollout, move, now)

    def _conclude(
        self, running: _Running, outcomes: dict[str, tuple[Outcome, str]], now: datetime
    ) -> None:
        self._rollouts.conclude(outcomes, now)
        for op_id, (outcome, reason) in outcomes.items():
            member = running.members[op_id]
            running.members[op_id] = member._replace(outcome=outcome, reason=reason)
            running.asked.pop(op_id, None)

    def _carry_out(self, rollout: Rollout, move: Move, now: datetime) -> None:
        match move:
            case Halt(reason):
                if self._rollouts.halt(rollout, now, SERVER, reason):
                    log.error(
                        "rollout halted", code="RW654", rollout=rollout.rollout_id, why=reason
                    )
            case Finish(reason):
                if self._rollouts.end(rollout, now, SERVER, reason):
                    log.info("rollout done", rollout=rollout.rollout_id)
            case OpenWave(wave):
                if self._rollouts.open_wave(rollout, wave, now, SERVER):
                    log.info("wave open", rollout=rollout.rollout_id, wave=rollout.wave_name(wave))
                    self._wake(rollout.rollout_id, wave)

    def _wake(self, rollout_id: str, wave: int) -> None:
        """Have the machines of a wave looked at: they may begin."""
        self._reconciler.ask_operations(
            each.op_id for each in self._rollouts.members(rollout_id, wave)
        )

    # --- health ----------------------------------------------------------------------

    def _look(self, running: _Running, member: Member) -> Look | None:
        """Return how a machine's health is asked for; None where its agent is not there."""
        status = next(iter(self._reconciler.ledger.operations(op_id=member.op_id)), None)
        machine = self._reconciler.machine_of(status.operation) if status else None
        if status is None or machine is None:
            self._judge(running, member, "no document has its hardware any more")
            return None
        seen = self._reconciler.machines.seen(machine, self._reconciler.hardware, self._clock())
        problem = unheard(status.operation, seen, self._clock())
        if problem:
            self._judge(running, member, problem)
            return None
        system = seen.installed.installed if seen.installed else None
        addresses = [
            *(each.partition("/")[0] for each in (system.addresses if system else ())),
            *(str(each.ip) for each in machine.addresses),
        ]
        return Look(
            op_id=member.op_id,
            machine=machine.name,
            hostname=system.hostname if system else machine.hostname,
            address=next((each for each in addresses if ":" not in each), ""),
            check=running.rollout.terms.health,
        )

    def _due(self, member: Member, health: HealthCheck) -> datetime | None:
        """Return from when on a machine's health counts; None where its work is not over.

        A time later than now was recorded before the clock was set back.
        """
        if member.at > self._clock():
            member = member._replace(at=self._hears_since())
        return look_at(member, health)

    def _judge(self, running: _Running, member: Member, problem: str) -> None:
        """Conclude on a machine that is healthy, or that was not for too long; else ask again."""
        now, health = self._clock(), running.rollout.terms.health
        since = max(self._due(member, health) or now, self._hears_since())
        if not problem:
            self._conclude(running, {member.op_id: ("healthy", "it is healthy")}, now)
        elif now >= since + timedelta(seconds=health.within_seconds):
            limit = Duration(health.within_seconds)
            why = f"RW657: it was not healthy within {limit} (rollout.health.within): {problem}"
            self._conclude(running, {member.op_id: ("failed", why)}, now)
        else:
            running.asked[member.op_id].again = now + AGAIN
