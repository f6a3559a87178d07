"""Bringing one machine one step on: read what is known of it, decide, carry it out.

Everything is asked for by a machine's key: its name, or its hardware where the fleet has let
go of it while it was at work. Which machines have work under way is kept in memory, so that
the many that have none cost nothing; the ledger's new lines say what other processes did.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, assert_never

import structlog

from agent.errors import CodedError, one_line
from providers.netboot.decision import Grant
from reconciler.errors import OvertakenError, StateError
from reconciler.loop.approval import approve, unattended
from reconciler.loop.budgets import BudgetTracker, Counted, Limit, counted, tracker_of
from reconciler.loop.decide import (
    BEHIND_LIMIT,
    GRANT_LIFETIME,
    QUARANTINE_LOOK,
    Arm,
    End,
    Outcome,
    Verify,
    WaitForBudget,
    WaitUntil,
    Wake,
    WorkView,
    decide,
)
from reconciler.loop.queue import ReconcileQueue, Urgency
from reconciler.planning.approval_lapse import why_lapsed
from reconciler.planning.estimate import budget_of
from reconciler.planning.plan import plan_of
from reconciler.planning.planner import next_change, plan_machines
from reconciler.state.accepted_revisions import last_accepted
from reconciler.state.boots import Boots
from reconciler.state.database import Database
from reconciler.state.faults import Faults
from reconciler.state.grants import Grants
from reconciler.state.hardware import FleetHardware
from reconciler.state.ledger import Ledger
from reconciler.state.machines import Machines
from reconciler.state.observed import (
    BUDGET_WINDOW,
    Capture,
    Observed,
    ObservedImage,
    ObservedMachine,
)
from reconciler.state.operation import Operation, OperationStatus
from reconciler.state.operation_states import NOT_BEGUN, OperationState
from reconciler.state.operations import Operations
from reconciler.state.work_begun import Impact
from specs.fleet import CompiledFleet, CompiledMachine

SERVER = "server"
"""The actor of ledger lines that no person caused."""
LINES = 250
"""Ledger lines that are read at once."""
_FIRST_RETRY = timedelta(seconds=1)
_LAST_RETRY = timedelta(minutes=5)
_MOMENT = timedelta(microseconds=1)

log = structlog.get_logger(__name__)


class Effects(Protocol):
    """What the loop asks of the world outside the database; each returns at once."""

    def wake(self, machine: CompiledMachine, status: OperationStatus) -> None:
        """See to it that the machine starts."""

    def verify(self, capture: Capture) -> None:
        """Test that what was captured can be restored."""

    def armed(self, machine: str) -> None:
        """Tell the agent that waits for work on this machine."""

    def asked(self) -> None:
        """Take notice that a machine is to be looked at soon."""

    def images(self) -> dict[str, ObservedImage]:
        """Return the named images with their state."""


class Reconciler:
    """Reconciles machines one at a time; all calls come from one event loop's thread."""

    def __init__(  # noqa: PLR0913 - what it works on, and what it works with
        self,
        database: Database,
        fleet: CompiledFleet,
        hardware: FleetHardware,
        effects: Effects,
        clock: Callable[[], datetime],
        *,
        acts_unattended: bool = False,
    ) -> None:
        self._database = database
        self._effects = effects
        self._clock = clock
        self._acts_unattended = acts_unattended
        self.ledger = Ledger(database)
        self.operations = Operations(database)
        self.machines = Machines(database)
        self.boots = Boots(database)
        self.grants = Grants(database)
        self.faults = Faults(database)
        self.queue = ReconcileQueue()
        self._line = 0
        self._work: defaultdict[str, dict[str, None]] = defaultdict(dict)
        """By key, the operations under way, in the order of their approval."""
        self._key_of: dict[str, str] = {}
        self._waiting: dict[str, tuple[str, Counted]] = {}
        """By operation, who waits for a budget, in the order of approval."""
        self._released: set[str] = set()
        """Keys whose turn came, and that have not begun yet."""
        self._failures: dict[str, int] = {}
        self._sweep: Iterator[str] = iter(())
        self._release_at: datetime | None = None
        self.use(fleet, hardware)

    # --- desired state -----------------------------------------------------------

    def use(self, fleet: CompiledFleet, hardware: FleetHardware) -> None:
        """Go on with another revision; every machine is looked at once, those at work first.

        ``hardware`` is that of the fleet's machines, prepared: it takes a while.
        StateError where the state cannot be read; the revision of before then stays.
        """
        now = self._clock()
        line = self.operations.newest_line()
        under_way = self.operations.under_way()
        begun = self.operations.work_begun(now - BUDGET_WINDOW)
        self.fleet = fleet
        self.hardware = hardware
        self._line = line
        self._work.clear()
        self._key_of.clear()
        self._waiting.clear()
        self._released.clear()
        self.queue.clear()
        for each in under_way:
            self._take_in(each.op_id, hardware.owner(each.identities) or each.hardware)
        self._budgets: BudgetTracker = tracker_of(fleet, hardware, begun)
        for key in self._work:
            self.queue.add(key, now)
        for key in tuple(self._failures):
            if key in fleet.machines or key in self._work:
                self.queue.add(key, now)
            else:
                self._works_again(key, now)
        self._sweep = iter(fleet.machines) if self._acts_unattended else iter(())

    def machine_by_mac(self, mac: str) -> CompiledMachine | None:
        """Return the machine of the fleet that has this NIC."""
        name = self.hardware.owner_of_mac(mac)
        return None if name is None else self.fleet.machines[name]

    def machine_of(self, operation: Operation) -> CompiledMachine | None:
        """Return the machine whose hardware an operation is for, whatever it is called now."""
        owner = self.hardware.owner(operation.identities)
        return self.fleet.machines[owner] if owner is not None else None

    def key_of(self, operation: Operation) -> str:
        """Return the key under which an operation's machine is reconciled."""
        return self.hardware.owner(operation.identities) or operation.hardware

    # --- who has work ------------------------------------------------------------

    def has_work(self, key: str) -> bool:
        """Return whether an operation of the machine is under way."""
        return bool(self._work.get(key))

    def work_of(self, key: str) -> tuple[OperationStatus, ...]:
        """Return the machine's operations under way, as the ledger has them now."""
        known = self._work.get(key)
        return self.operations.active(known) if known else ()

    def keys_at_work(self) -> tuple[str, ...]:
        """Return the keys of all machines that have work under way."""
        return tuple(self._work)

    def _take_in(self, op_id: str, key: str) -> str:
        self._key_of[op_id] = key
        self._work[key][op_id] = None
        return key

    def _let_go(self, op_id: str) -> str | None:
        key = self._key_of.pop(op_id, None)
        self._waiting.pop(op_id, None)
        if key is not None:
            self._work[key].pop(op_id, None)
            if not self._work[key]:
                del self._work[key]
        if self._budgets.end(op_id):
            self._release()
        return key

    def follow_ledger(self) -> bool:
        """Take notice of what other processes approved, cancelled or settled.

        True where there may be more: an approval of thousands is taken in steps.
        """
        line, moved = self.operations.moved_since(self._line, LINES)
        if not moved:
            return False
        active = {each.operation.op_id: each for each in self.operations.active(moved)}
        full = line - self._line >= LINES
        self._line = line
        now = self._clock()
        for op_id in moved:
            status = active.get(op_id)
            if (status is not None) == (op_id in self._key_of):
                continue  # a line of our own
            if status is None:
                key = self._let_go(op_id)
            else:
                key = self._take_in(op_id, self.key_of(status.operation))
            if key is not None:
                self.queue.add(key, now, Urgency.PERSON)
        self._effects.asked()
        return full

    # --- one machine -------------------------------------------------------------

    def ask(self, key: str, urgency: Urgency = Urgency.MACHINE) -> None:
        """Look at a machine soon."""
        self.queue.add(key, self._clock(), urgency)
        self._effects.asked()

    def step(self) -> bool:
        """Reconcile the most urgent machine that is due; False when none is.

        Whatever goes wrong concerns this machine alone: it is noted as its fault, and the
        machine is tried again later.
        """
        now = self._clock()
        if self._release_at is not None and now >= self._release_at:
            self._release()
        key = self.queue.pop(now) or next(self._sweep, None)
        if key is None:
            return False
        try:
            self.reconcile(key)
        except OvertakenError:
            self.follow_ledger()
            self.ask(key)
        except Exception as error:  # noqa: BLE001 - contained: every other machine goes on
            self._failed(key, error, now)
        else:
            if key in self._failures:
                self._works_again(key, now)
        if key in self._released:  # it did not begin: the next one may
            self._released.discard(key)
            self._release()
        return True

    def _works_again(self, key: str, now: datetime) -> None:
        """End a machine's fault; look at the machine again where that cannot be written."""
        try:
            self.faults.end(f"machine/{key}")
        except StateError:
            self.queue.add(key, now + _FIRST_RETRY)
        else:
            del self._failures[key]

    def _failed(self, key: str, error: Exception, now: datetime) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        code, cause = "RW790", one_line(error)
        if isinstance(error, CodedError):
            code, cause = error.code, error.cause
        log.error("machine not reconciled", machine=key, code=code, cause=cause, times=count)
        log.debug("machine not reconciled", machine=key, exc_info=error)
        with suppress(StateError):  # most likely for the same reason
            self.faults.record(f"machine/{key}", code, cause, now)
        self.queue.add(key, now + min(_FIRST_RETRY * 2 ** min(count - 1, 10), _LAST_RETRY))

    def reconcile(self, key: str) -> None:
        """Bring one machine's work as far as it goes now."""
        statuses = self.work_of(key)
        machine = self.fleet.machines.get(key)
        if not statuses:
            if machine is not None and self._acts_unattended:
                self._plan(machine)
            return
        seen = self.machines.seen(machine, self.hardware) if machine else ObservedMachine()
        op_ids = [status.operation.op_id for status in statuses]
        view = WorkView(statuses, seen, self.operations.captures(op_ids))
        present = view.present
        if present is not None and present.state in NOT_BEGUN:
            view = self._compared(view, present)
        now = self._clock()
        outcome = decide(view, lambda operation, impact: self._limit(operation, impact, now), now)
        self._carry_out(key, machine, outcome, now)

    def _compared(self, view: WorkView, present: OperationStatus) -> WorkView:
        """Compare work that no agent is at with what is wanted now.

        What an earlier attempt began is finished: half a disk is worse than either content.
        """
        operation = present.operation
        if self.operations.furthest_steps([operation.op_id]):
            return replace(view, has_begun=True)
        behind = self._behind_until() if present.state is OperationState.APPROVED else None
        if behind is not None:
            return replace(view, behind_until=behind + _MOMENT)
        return replace(view, lapsed=self._why_lapsed(operation, view.seen))

    def _behind_until(self) -> datetime | None:
        """Return how long to wait for the commit that was accepted last; None where it is taken.

        Another process accepts what it applies, and may be seconds faster than the server.
        """
        newest = last_accepted(self._database)
        if newest is None or newest.commit == self.fleet.revision:
            return None
        limit = newest.at + BEHIND_LIMIT
        return limit if self._clock() <= limit else None

    def why_not_now(self, operation: Operation) -> str:
        """Return why work may not begin now, as a clause; empty where it may.

        It is not wanted any more, or a newer commit is accepted than the one that is acted on.
        """
        if self.operations.furthest_steps([operation.op_id]):
            return ""
        if self._behind_until() is not None:
            return "a newer commit is accepted and not taken yet"
        machine = self.machine_of(operation)
        seen = self.machines.seen(machine, self.hardware) if machine else ObservedMachine()
        return self._why_lapsed(operation, seen)

    def _why_lapsed(self, operation: Operation, seen: ObservedMachine) -> str:
        machine, images = self.machine_of(operation), self._effects.images()
        return why_lapsed(self.fleet, machine, seen, images, operation, self._clock())

    def _carry_out(
        self, key: str, machine: CompiledMachine | None, outcome: Outcome, now: datetime
    ) -> None:
        match outcome:
            case Arm():
                self._arm(key, outcome, now)
                self.queue.add(key, now, Urgency.MACHINE)
            case End(status, state, reason):
                self.ledger.move(
                    status.operation.op_id,
                    status.state,
                    state,
                    attempt=status.attempt,
                    at=now,
                    actor=SERVER,
                    reason=reason,
                )
                self._let_go(status.operation.op_id)
                self.queue.add(key, now, Urgency.MACHINE)
            case Wake(status, again):
                if machine is not None:
                    self._effects.wake(machine, status)
                self.queue.add(key, again)
            case Verify(_, capture):
                self._effects.verify(capture)
            case WaitForBudget(status, impact):
                operation = status.operation
                self._waiting[operation.op_id] = key, self._counted(operation, impact)
                self._release_at = self._budgets.next_release(now)
            case WaitUntil(again):
                if again is not None:
                    self.queue.add(key, again)
            case _:
                assert_never(outcome)

    def _arm(self, key: str, decision: Arm, now: datetime) -> None:
        status, operation = decision.status, decision.status.operation
        grant = Grant(
            operation=operation.op_id,
            attempt=decision.attempt,
            machine=operation.machine,
            macs=operation.instructions.macs,
            uuid=operation.instructions.uuid,
            expires=now + GRANT_LIFETIME,
        )
        with self._database.writing() as connection:
            self.ledger.arm_within(
                connection,
                status,
                decision.impact,
                attempt=decision.attempt,
                at=now,
                actor=SERVER,
                reason=decision.reason,
            )
            self.grants.issue_within(connection, grant)
        self._waiting.pop(operation.op_id, None)
        self._released.discard(key)
        if decision.impact is not None:
            self._budgets.begin(operation.op_id, self._counted(operation, decision.impact), now)
        self._effects.armed(key)
        self._release()

    def ended(self, operation: Operation) -> None:
        """Take notice that an operation was ended outside of ``reconcile``."""
        self._let_go(operation.op_id)
        self.ask(self.key_of(operation))

    # --- budgets -----------------------------------------------------------------

    def _counted(self, operation: Operation, impact: Impact) -> Counted:
        return counted(self.fleet, self.hardware, operation.identities, operation.hardware, impact)

    def _limit(self, operation: Operation, impact: Impact, now: datetime) -> Limit | None:
        return self._budgets.limit(self._counted(operation, impact), now)

    def _release(self) -> None:
        """Have the first machine that waits, and that the budgets let begin, looked at."""
        now = self._clock()
        self._release_at = None
        for op_id, (key, work) in self._waiting.items():
            if self._budgets.limit(work, now) is None:
                del self._waiting[op_id]
                self._released.add(key)
                self.queue.add(key, now)
                return
        if self._waiting:
            self._release_at = self._budgets.next_release(now)

    def next_time(self) -> datetime | None:
        """Return when a machine is due, or a budget may let another one begin; None for never."""
        times = (self.queue.next_time(), self._release_at)
        return min((time for time in times if time is not None), default=None)

    # --- unattended work ---------------------------------------------------------

    def _plan(self, machine: CompiledMachine) -> None:
        """Start what needs nobody's approval on one machine; look again when its plan changes."""
        now = self._clock()
        observed = self.observed(machine)
        items = plan_machines(self.fleet, (machine,), self.hardware, observed, now)
        made = plan_of(self.fleet.revision, now, items, budget_of(self.fleet.settings))
        wanted = unattended(made, observed)
        if wanted:
            approve(self.ledger, made, wanted, SERVER, now, kind="unattended")
            self.follow_ledger()
            return
        seen = observed.machines[machine.name]
        again = next_change(self.fleet, machine, seen, now)
        if seen.quarantine:
            again = now + QUARANTINE_LOOK
        if again is not None:
            self.queue.add(machine.name, again)

    def observed(self, machine: CompiledMachine) -> Observed:
        """Return what plans of this one machine read."""
        operations = self.operations.of_hardware(machine.hardware_identities)
        op_ids = [status.operation.op_id for status in operations]
        return Observed(
            machines={machine.name: self.machines.seen(machine, self.hardware)},
            images=self._effects.images(),
            operations=operations,
            captures=self.operations.captures(op_ids),
        )
