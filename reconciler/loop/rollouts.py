"""Carries rollouts from wave to wave: what its machines' work became, and their health.

The loop asks ``Rollouts.hold_of`` before it arms; this opens the waves that it asks about. All
that decides is in the database, so that a server that begins anew goes on where another ended;
only since when a machine's health is asked for begins anew with it.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_interface
from operator import itemgetter
from typing import NamedTuple

import structlog

from reconciler.loop.hearing import ever
from reconciler.loop.reconcile import SERVER, Reconciler
from reconciler.loop.rollout_moves import (
    Finish,
    Halt,
    Move,
    OpenWave,
    is_given_up,
    look_at,
    next_move,
    outcome_of,
    unheard,
)
from reconciler.state.database import Database
from reconciler.state.observed import ObservedMachine
from reconciler.state.operations import Operations
from reconciler.state.rollouts import NOT_HEALTHY, Member, Outcome, Rollout, Rollouts
from specs.fleet import CompiledMachine, CompiledNetwork, HealthCheck
from specs.types.quantities import Duration

AGAIN = timedelta(seconds=10)
"""Between two looks at one machine's health."""
AT_ONCE = 20
"""Machines whose health is looked at at one moment."""
LOST = timedelta(minutes=2)
"""A look that has not come back for longer got lost, and is done again."""
_LINES = 250

log = structlog.get_logger(__name__)


class Look(NamedTuple):
    """One look at a machine's health that is due."""

    op_id: str
    machine: str
    hostname: str
    """As the document has it."""
    address: str
    """The document's, else one that the installed system says and that lies in the machine's
    network; empty where nobody knows one."""
    check: HealthCheck


@dataclass
class _Asked:
    """How far the looks at one machine's health are."""

    first: datetime
    """When it was looked at first."""
    last: datetime
    is_out: bool = True
    """Whether the last look has not come back."""
    problem: str | None = None
    """What it found; None: nothing that is not judged."""


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
        self._halted: list[Rollout] = []
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
        """Return some of the looks at machines' health that are due, the oldest first.

        ``looked`` takes what each finds. StateError where the state cannot be read.
        """
        now = self._clock()
        out = sum(
            _is_out(asked, now) for each in self._running.values() for asked in each.asked.values()
        )
        found = []
        for running, op_id in self._due(now)[: max(0, AT_ONCE - out)]:
            look = self._look(running, running.members[op_id], now)
            if look is not None:
                found.append(look)
        return tuple(found)

    def looked(self, look: Look, problem: str) -> None:
        """Take notice of what a look found, empty for a healthy machine; ``step`` judges it."""
        for running in self._running.values():
            asked = running.asked.get(look.op_id)
            if asked is not None:
                asked.is_out, asked.problem = False, problem

    # --- what is known ---------------------------------------------------------------

    def _read(self) -> None:
        """Read all rollouts that have not ended anew."""
        line = self._operations.newest_line()
        before, self._running, self._halted = self._running, {}, []
        for rollout in self._rollouts.active():
            if rollout.state == "halted":
                self._halted.append(rollout)
                continue
            found, known = self._begun(rollout), before.get(rollout.rollout_id)
            if known is not None:
                asked = known.asked.items()
                found.asked = {key: each for key, each in asked if key in found.members}
            if known is None or known.rollout != rollout:  # it is new, resumed or in another wave
                self._reconciler.ask_operations(found.members)
            self._running[rollout.rollout_id] = found
        self._line = line
        self._end_halted()

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
        return _Running(rollout, {each.op_id: each for each in members}, tuple(earlier))

    def _follow_ledger(self) -> None:
        """Read anew what moved of the open waves."""
        moves = False
        while self._running or self._halted:
            line, moved = self._operations.moved_since(self._line, _LINES)
            if line == self._line:
                break
            moves = True
            of = {op_id: each for each in self._running.values() for op_id in each.members}
            known = [op_id for op_id in moved if op_id in of]
            for member in self._rollouts.waiting(known) if known else ():
                of[member.op_id].members[member.op_id] = member
            self._line = line
        if moves:
            self._end_halted()

    def _end_halted(self) -> None:
        """End halted rollouts of which nothing may begin any more: people cancelled all of it."""
        for rollout in self._halted:
            if self._rollouts.under_way_after(rollout, 0):
                continue
            if is_given_up(self._rollouts.members(rollout.rollout_id)):
                self._rollouts.end(rollout, self._clock(), SERVER, "no machine is left")

    # --- what follows ----------------------------------------------------------------

    def _move_on(self, running: _Running) -> None:
        now, health = self._clock(), running.rollout.terms.health
        outcomes: dict[str, tuple[Outcome, str]] = {}
        for op_id, member in running.members.items():
            if not member.outcome:
                found = outcome_of(member, health) or self._judged(running, member, now)
                if found is not None:
                    outcomes[op_id] = found
        if outcomes:
            self._conclude(running, outcomes, now)
        members = running.members.values()
        is_over = all(each.outcome for each in members)
        rollout = running.rollout
        more_wait = not is_over or self._rollouts.under_way_after(rollout, rollout.wave)
        move = next_move(rollout, members, running.failed_before, more_wait=more_wait)
        if move is not None:
            self._carry_out(rollout, move, now)

    def _judged(
        self, running: _Running, member: Member, now: datetime
    ) -> tuple[Outcome, str] | None:
        """Return what follows from the last look at a machine's health; None for nothing new.

        One that is not well has no outcome before its time is over, but a reason to show.
        """
        asked = running.asked.get(member.op_id)
        if asked is None or asked.problem is None:
            return None
        problem, within = asked.problem, running.rollout.terms.health.within_seconds
        if not problem:
            return "healthy", "it is healthy"
        if now >= max(asked.first, self._hears_since()) + timedelta(seconds=within):
            limit = Duration(within)
            return "failed", f"{NOT_HEALTHY}: not healthy within {limit} (health.within): {problem}"
        return ("", problem) if problem != member.problem else None

    def _conclude(
        self, running: _Running, outcomes: dict[str, tuple[Outcome, str]], now: datetime
    ) -> None:
        self._rollouts.conclude(running.rollout.rollout_id, outcomes, now)
        for op_id, (outcome, reason) in outcomes.items():
            member = running.members[op_id]
            if outcome:
                running.members[op_id] = member._replace(outcome=outcome, reason=reason)
                running.asked.pop(op_id, None)
            else:
                running.members[op_id] = member._replace(problem=reason)

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

    # --- health ----------------------------------------------------------------------

    def _due(self, now: datetime) -> list[tuple[_Running, str]]:
        """Return whose health is to be looked at: who never was, then the longest ago."""
        found: list[tuple[bool, datetime, _Running, str]] = []
        for running in self._running.values():
            health = running.rollout.terms.health
            for op_id, member in running.members.items():
                begins = look_at(member, health, self._hears_since(), now)
                if begins is None or now < begins:
                    continue
                asked = running.asked.get(op_id)
                if asked is None:
                    found.append((False, begins, running, op_id))
                elif not _is_out(asked, now) and abs(now - asked.last) >= AGAIN:
                    found.append((True, asked.last, running, op_id))
        found.sort(key=itemgetter(0, 1))
        return [(running, op_id) for _, _, running, op_id in found]

    def _look(self, running: _Running, member: Member, now: datetime) -> Look | None:
        """Return how a machine's health is asked for; None where its agent is not there."""
        known = running.asked.get(member.op_id)
        status = next(iter(self._reconciler.ledger.operations(op_id=member.op_id)), None)
        machine = self._reconciler.machine_of(status.operation) if status else None
        problem, seen = "no document has its hardware any more", ObservedMachine()
        if status is not None and machine is not None:
            seen = self._reconciler.machines.seen(machine, self._reconciler.hardware, now)
            problem = unheard(status.operation, seen, now)
        running.asked[member.op_id] = asked = _Asked(known.first if known else now, now)
        if machine is None or problem:
            asked.is_out, asked.problem = False, problem
            return None
        network = self._reconciler.fleet.networks.get(machine.network)
        return Look(
            op_id=member.op_id,
            machine=machine.name,
            hostname=machine.hostname,
            address=_address(machine, network, seen),
            check=running.rollout.terms.health,
        )


def _is_out(asked: _Asked, now: datetime) -> bool:
    """Return whether a look has yet to come back; one that never did is not waited for for ever."""
    return asked.is_out and abs(now - asked.last) < LOST


def _address(
    machine: CompiledMachine, network: CompiledNetwork | None, seen: ObservedMachine
) -> str:
    """Return where a machine is asked: by its document, else by what it says of its network.

    A machine chooses nothing else: its own network is all that it may have the server ask.
    """
    if machine.addresses:
        return str(machine.addresses[0].ip)
    system = seen.installed.installed if seen.installed else None
    for text in system.addresses if system and network else ():
        with suppress(ValueError):
            address = ip_interface(text).ip
            if isinstance(address, IPv4Address) and network and address in network.subnet:
                return str(address)
    return ""
