"""Bringing one machine one step on: read what is known of it, decide, carry it out.

Everything is asked for by a machine's key: its name, or its hardware where the fleet has let
go of it while it was at work. Which machines have work under way is kept in memory, so that
the many that have none cost nothing; the ledger's new lines say what other processes did.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, assert_never

import structlog

from agent.errors import CodedError, one_line
from providers.netboot.decision import Grant
from reconciler.errors import OvertakenError, StateError
from reconciler.loop.approval import approve
from reconciler.loop.approval_rules import rules_in_force
from reconciler.loop.breaker import why_open
from reconciler.loop.budgets import BudgetTracker, Counted, Limit, counted, open_breaker, tracker_of
from reconciler.loop.decide import (
    BEHIND_LIMIT,
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
    grant_end,
    queue_order,
    unproved_restart,
)
from reconciler.loop.delays import DelayLog, why_put_off
from reconciler.loop.hearing import ever
from reconciler.loop.queue import ReconcileQueue, Urgency
from reconciler.planning.approval_lapse import why_lapsed
from reconciler.planning.approvals import rule_of
from reconciler.planning.estimate import budget_of, work_seconds
from reconciler.planning.item import PlanItem, Risk
from reconciler.planning.plan import plan_of
from reconciler.planning.planner import next_change, plan_machines
from reconciler.planning.unattended import may_take, unattended
from reconciler.planning.windows import closed, is_in_window, windows_of
from reconciler.state.accepted_revisions import last_accepted
from reconciler.state.approvals import Approvals
from reconciler.state.boots import Boots
from reconciler.state.breakers import FAILURES, Breakers, EndedWork, OpenBreaker
from reconciler.state.database import Database
from reconciler.state.delays import Delays
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
from reconciler.state.operation_states import AT_WORK, NOT_BEGUN, OperationState
from reconciler.state.operations import Operations
from reconciler.state.rollouts import Rollouts
from reconciler.state.runs import expiry_of
from reconciler.state.work_begun import Impact, WorkBegun
from specs.fleet import CompiledFleet, CompiledMachine, Waits

SERVER = "server"
"""The actor of ledger lines that no person caused."""
UNATTENDED_AGAIN = timedelta(hours=20)
"""A machine that did not start for unattended work is tried again in the next window."""
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
        """Return the named images with their state, as they were last read."""

    def images_away(self, *, to_write: bool = False) -> str:
        """Return why images cannot be read now, or written, as a clause; empty where they can."""

    def observes_only(self) -> bool:
        """Return whether the ledger may not be the one that was written: nothing begins then."""

    def may_act(self) -> bool:
        """Return whether a machine may act on what the ledger says now.

        Asked before anything is handed out; it may take as long as writing a small file.
        """

    def enter_observe_only(self, code: str, cause: str) -> None:
        """Begin nothing any more until a person has accepted the ledger."""


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
        hears_since: Callable[[], datetime] = ever,
        acts_unattended: bool = False,
    ) -> None:
        self._database = database
        self._effects = effects
        self._clock = clock
        self._hears_since = hears_since
        self._acts_unattended = acts_unattended
        self.ledger = Ledger(database)
        self.operations = Operations(database)
        self.machines = Machines(database)
        self.boots = Boots(database)
        self.grants = Grants(database)
        self.faults = Faults(database)
        self.breakers = Breakers(database)
        self.rollouts = Rollouts(database)
        self.delays = DelayLog(Delays(database))
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
        self.lapsed: deque[Operation] = deque()
        """Work of schedules whose approval lapsed since somebody took notice; the oldest first."""
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
        open_ones = self.breakers.open_ones()
        self.fleet = fleet
        self.hardware = hardware
        self._line = line
        self._work.clear()
        self._key_of.clear()
        self._waiting.clear()
        self._released.clear()
        self.lapsed.clear()
        self.queue.clear()
        self._open: dict[str, OpenBreaker] = {each.group: each for each in open_ones}
        for each in under_way:
            self._take_in(each.op_id, hardware.owner(each.identities) or each.hardware)
        self._budgets: BudgetTracker = tracker_of(fleet, hardware, begun, now)
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
        self.delays.note(op_id, "", self._clock())
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
        if self._open:
            self._follow_breakers()
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

    def _follow_breakers(self) -> None:
        """Take notice that a person closed a breaker."""
        before, self._open = self._open, {each.group: each for each in self.breakers.open_ones()}
        if before.keys() - self._open.keys():
            self._release()
            self._effects.asked()

    # --- whether the ledger can be relied on -------------------------------------

    def observes_only(self) -> bool:
        """Return whether nothing may begin on any machine."""
        return self._effects.observes_only()

    def may_act(self) -> bool:
        """Return whether machines may act on what the ledger says; as in ``Effects``."""
        return self._effects.may_act()

    def observe_only(self, code: str, cause: str) -> None:
        """Begin nothing any more until a person has accepted the ledger."""
        self._effects.enter_observe_only(code, cause)

    # --- one machine -------------------------------------------------------------

    def ask(self, key: str, urgency: Urgency = Urgency.MACHINE) -> None:
        """Look at a machine soon."""
        self.queue.add(key, self._clock(), urgency)
        self._effects.asked()

    def ask_operations(self, op_ids: Iterable[str]) -> None:
        """Look soon at the machines that have these operations under way."""
        now = self._clock()
        for op_id in op_ids:
            key = self._key_of.get(op_id)
            if key is not None:
                self.queue.add(key, now, Urgency.PERSON)
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
        machine = self.fleet.machines.get(key)
        view = self._view(key, machine)
        present = view.present
        if present is None:
            if machine is not None and self._acts_unattended and not self.observes_only():
                self._plan(machine)
            return
        if present.state in NOT_BEGUN:
            view = self._compared(view, present)
        now = self._clock()
        outcome = decide(view, lambda operation, impact: self._limit(operation, impact, now), now)
        if present.state is OperationState.APPROVED:
            self.delays.note(present.operation.op_id, why_put_off(outcome), now)
        self._carry_out(key, machine, outcome, now)
        if view.expires is not None and now < view.expires:
            self.queue.add(key, view.expires)  # an earlier time that is known stays

    def _view(self, key: str, machine: CompiledMachine | None) -> WorkView:
        """Return a machine's work under way and what is known of it."""
        hears_since = self._hears_since()  # first: what it says is not later than now
        statuses = self.work_of(key)
        if not statuses:
            return WorkView(statuses, ObservedMachine())
        seen = self._seen(machine)
        op_ids = [status.operation.op_id for status in statuses]
        view = WorkView(
            queue_order(statuses, seen, self._clock(), self._held(statuses)),
            seen,
            self.operations.captures(op_ids),
            hears_since=hears_since,
        )
        present = view.present
        if present is None or present.state not in AT_WORK:
            return view
        return replace(
            view,
            waits=self._waits(present.operation),
            claimed_attempts=self.operations.claimed_attempts(present.operation.op_id),
            restart_asked=self._restart_asked(view, present, machine),
        )

    def _held(self, statuses: tuple[OperationStatus, ...]) -> frozenset[str]:
        """Return which operations wait in a rollout, where something else may come before them."""
        approved = [each for each in statuses if each.state is OperationState.APPROVED]
        op_ids = [each.operation.op_id for each in approved] if len(statuses) > 1 else []
        return frozenset(op_id for op_id in op_ids if self.rollouts.hold_of(op_id))

    def _waits(self, operation: Operation) -> Waits:
        """Return how long is waited at an operation, as the present revision says it."""
        machine = self.machine_of(operation)
        groups = machine.groups if machine is not None else ()
        return self.fleet.waits_of(groups, operation.scenario)

    def _seen(self, machine: CompiledMachine | None) -> ObservedMachine:
        """Return what is known of a machine; nothing of one that the fleet let go of."""
        if machine is None:
            return ObservedMachine()
        return self.machines.seen(machine, self.hardware, self._clock())

    def _restart_asked(
        self, view: WorkView, status: OperationStatus, machine: CompiledMachine | None
    ) -> datetime | None:
        """Return when the machine first asked for a boot after its agent was last heard."""
        newest = view.seen.boot_request
        if machine is None or newest is None or status.state is not OperationState.STARTED:
            return None
        now = self._clock()
        said = (status.at, status.last_event_at or status.at)
        # What is later than now was said before the clock was set back.
        heard = max((at for at in said if at <= now), default=view.hears_since)
        return self.boots.first_request(machine.macs, heard, now) if newest > heard else None

    def unproved_restart(self, key: str) -> str:
        """Return why a boot request of the machine is no sign of a restart yet, as a clause."""
        view = self._view(key, self.fleet.machines.get(key))
        return unproved_restart(view, self._clock())

    def grant_end(self, status: OperationStatus) -> datetime:
        """Return until when the boot grant of an armed operation is good."""
        since, waits = self._hears_since(), self._waits(status.operation)
        view = WorkView((status,), ObservedMachine(), waits=waits, hears_since=since)
        return grant_end(status, view, self._clock())

    def armed_until(self, status: OperationStatus) -> datetime:
        """Return until when an armed operation has a boot grant, those to come included."""
        waits = self._waits(status.operation)
        unused = status.attempt - self.operations.claimed_attempts(status.operation.op_id)
        to_come = max(0, waits.attempts - unused) * waits.grant_seconds
        return self.grant_end(status) + timedelta(seconds=to_come)

    def store_is_back(self) -> None:
        """Look at all work again: some of it may have waited for the image store."""
        now = self._clock()
        for key in self._work:
            self.queue.add(key, now)
        self._effects.asked()

    def listen_anew(self, *, clock_was_set: bool) -> None:
        """Look at every machine at work again: what they are waited for counts from now.

        Where the clock was set, at all others too: what was to be done at a time is not due when
        it was thought to be.
        """
        now = self._clock()
        for key in self._work:
            self.queue.add(key, now)
        if clock_was_set:
            for key in self._failures:
                self.queue.add(key, now)
            self._sweep = iter(self.fleet.machines) if self._acts_unattended else iter(())
            self._release_at = now if self._waiting else None
        self._effects.asked()
        if clock_was_set:
            begun = self.operations.work_begun(now - BUDGET_WINDOW)
            self._budgets = tracker_of(self.fleet, self.hardware, begun, now)

    def _compared(self, view: WorkView, present: OperationStatus) -> WorkView:
        """Compare work that no agent is at with what is wanted now.

        What an earlier attempt began is finished: half a disk is worse than either content.
        """
        operation = present.operation
        if self.operations.furthest_steps([operation.op_id]):
            return replace(view, has_begun=True)
        if present.state is OperationState.APPROVED:
            view = self._within_windows(view, present)
            op_id = operation.op_id
            expires, rollout = expiry_of(self._database, op_id), self.rollouts.hold_of(op_id)
            captures = operation.kind == "capture"
            away = self._effects.images_away(to_write=captures) if operation.needs_images else ""
            view = replace(view, expires=expires, rollout=rollout, store_away=away)
            behind = self._behind_until()
            if behind is not None:
                return replace(view, behind_until=behind + _MOMENT)
        return replace(view, lapsed=self._why_lapsed(operation, view.seen))

    def _within_windows(self, view: WorkView, present: OperationStatus) -> WorkView:
        machine = self.machine_of(present.operation)
        if machine is None:
            return view
        seconds = work_seconds(present.operation.instructions.steps, self._effects.images())
        now, windows = self._clock(), windows_of(self.fleet, machine)
        found = closed(windows, now, timedelta(seconds=seconds))
        return replace(view, closed=found, in_window=is_in_window(windows, now))

    def _behind_until(self) -> datetime | None:
        """Return how long to wait for the commit that was accepted last; None where it is taken.

        Another process accepts what it applies, and may be seconds faster than the server.
        """
        newest = last_accepted(self._database)
        if newest is None or newest.commit == self.fleet.revision:
            return None
        limit = newest.at + BEHIND_LIMIT
        return limit if abs(self._clock() - newest.at) <= BEHIND_LIMIT else None

    def why_not_now(self, operation: Operation) -> str:
        """Return why work may not begin now, as a clause; empty where it may.

        It is not wanted any more, or a newer commit is accepted than the one that is acted on.
        """
        if self.operations.furthest_steps([operation.op_id]):
            return ""
        if self._behind_until() is not None:
            return "a newer commit is accepted and not taken yet"
        return self._why_lapsed(operation, self._seen(self.machine_of(operation)))

    def _why_lapsed(self, operation: Operation, seen: ObservedMachine) -> str:
        machine, is_away = self.machine_of(operation), bool(self._effects.images_away())
        images = None if is_away else self._effects.images()
        return why_lapsed(self.fleet, machine, seen, images, operation, self._clock())

    def _carry_out(
        self, key: str, machine: CompiledMachine | None, outcome: Outcome, now: datetime
    ) -> None:
        match outcome:
            case Arm() | Wake() | Verify() if self.observes_only():
                pass  # all machines are looked at when a person has accepted the ledger
            case Arm():
                self._arm(key, outcome, now)
                self.queue.add(key, now, Urgency.MACHINE)
            case End():
                self._end(key, outcome, now)
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

    def _end(self, key: str, outcome: End, now: datetime) -> None:
        status, operation = outcome.status, outcome.status.operation
        self.ledger.move(
            operation.op_id,
            status.state,
            outcome.state,
            attempt=status.attempt,
            at=now,
            actor=SERVER,
            reason=outcome.reason,
        )
        self._let_go(operation.op_id)
        if outcome.state is OperationState.PLANNED and operation.schedule:
            self.lapsed.append(operation)
        self.queue.add(key, now, Urgency.MACHINE)
        if outcome.state in FAILURES:
            self._count_failure(operation, now)

    def _arm(self, key: str, decision: Arm, now: datetime) -> None:
        status, operation = decision.status, decision.status.operation
        grant = Grant(
            operation=operation.op_id,
            attempt=decision.attempt,
            machine=operation.machine,
            macs=operation.instructions.macs,
            uuid=operation.instructions.uuid,
            expires=now + timedelta(seconds=self._waits(operation).grant_seconds),
        )
        with self._database.writing() as connection:
            if decision.impact is not None:  # a person may halt its rollout in this very moment
                self.rollouts.require_open_within(connection, operation.op_id)
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
        """Take notice that an operation failed outside of ``reconcile``."""
        self._let_go(operation.op_id)
        self.ask(self.key_of(operation))
        self._count_failure(operation, self._clock())

    def goes_on(self, operation: Operation, impact: Impact | None) -> None:
        """Take notice that an operation that had ended goes on; budgets count it again."""
        now = self._clock()
        key = self._take_in(operation.op_id, self.key_of(operation))
        if impact is not None:
            self._budgets.begin(operation.op_id, self._counted(operation, impact), now)
        self.ask(key)

    # --- budgets -----------------------------------------------------------------

    def _counted(self, operation: Operation, impact: Impact) -> Counted:
        return counted(self.fleet, self.hardware, operation, impact)

    def _limit(
        self, operation: Operation, impact: Impact, now: datetime
    ) -> Limit | OpenBreaker | None:
        return self._limit_of(self._counted(operation, impact), now)

    def _limit_of(self, work: Counted, now: datetime) -> Limit | OpenBreaker | None:
        return open_breaker(self._open, work) or self._budgets.limit(work, now)

    def limit_of(self, work: WorkBegun, now: datetime) -> Limit | OpenBreaker | None:
        """Return what work that is no operation has to wait for; None where it may begin."""
        return self._limit_of(counted(self.fleet, self.hardware, work, work.impact), now)

    def begins(self, work: WorkBegun) -> None:
        """Count work that is no operation, until ``ends``."""
        found = counted(self.fleet, self.hardware, work, work.impact)
        self._budgets.begin(work.op_id, found, work.at)

    def ends(self, work_id: str) -> None:
        """Count work that is no operation no more: who waits for it may begin."""
        if self._budgets.end(work_id):
            self._release()
            self._effects.asked()

    def _count_failure(self, operation: Operation, now: datetime) -> None:
        """Open the breakers for which work fails too often with this failure."""
        owner = self.hardware.owner(operation.identities)
        groups = self.fleet.machines[owner].groups if owner is not None else ()
        for rule in self.fleet.settings.breakers:
            if rule.group in self._open or rule.group not in {"", *groups}:
                continue
            since = now - timedelta(seconds=rule.within_seconds)
            ended = self.breakers.ended_since(rule.group, since)
            cause = why_open(rule, (each for each in ended if self._is_in(each, rule.group)))
            if cause:
                found = self.breakers.open(rule.group, now, SERVER, cause)
                self._open[rule.group] = found
                log.error("breaker open", code="RW651", whose=found.whose, cause=cause)

    def _is_in(self, ended: EndedWork, group: str) -> bool:
        owner = self.hardware.owner((ended.hardware,))
        return not group or (owner is not None and group in self.fleet.machines[owner].groups)

    def _release(self) -> None:
        """Have the first machine that waits, and that the budgets let begin, looked at."""
        now = self._clock()
        self._release_at = None
        nobody = "" in self._open or self._budgets.all_wait(now)
        waiting = {} if nobody else self._waiting
        for op_id, (key, work) in waiting.items():
            if self._limit_of(work, now) is None:
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
        seen = observed.machines[machine.name]
        windows = windows_of(self.fleet, machine)
        in_window = is_in_window(windows, now)
        tried = {
            each.operation.scenario: each.at + UNATTENDED_AGAIN
            for each in observed.operations
            if each.state is OperationState.PLANNED and now - each.at < UNATTENDED_AGAIN
        }

        def begins(item: PlanItem) -> bool:
            is_tried = item.operation is not None and item.operation.scenario in tried
            return not is_tried and may_take(seen, now, in_window=in_window)

        wanted = unattended(made, begins)
        wanted = tuple(each for each in wanted if not self.needs_persons(each.risk))
        if wanted:
            approve(self.ledger, made, wanted, SERVER, now, kind="unattended")
            self.follow_ledger()
            return
        times = [next_change(self.fleet, machine, seen, now)]
        if unattended(made, lambda _: True):  # it may begin in a window, or again
            shut = closed(windows, now, timedelta())
            times += [shut.opens if shut else None, *tried.values()]
        if seen.quarantine:
            times = [now + QUARANTINE_LOOK]
        for again in times:
            if again is not None:
                self.queue.add(machine.name, again)

    def needs_persons(self, risk: Risk) -> bool:
        """Return whether the rules in force want persons to approve work of a risk."""
        approved = Approvals(self._database).approved_revision()
        return rule_of(rules_in_force(approved, self.fleet), risk) is not None

    def observed(self, machine: CompiledMachine) -> Observed:
        """Return what plans of this one machine read."""
        operations = self.operations.of_hardware(machine.hardware_identities)
        op_ids = [status.operation.op_id for status in operations]
        return Observed(
            machines={machine.name: self._seen(machine)},
            images=self._effects.images(),
            store_problem=self._effects.images_away(),
            operations=operations,
            captures=self.operations.captures(op_ids),
        )
