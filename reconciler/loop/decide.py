"""What to do next about the work of one machine. Pure: ``reconcile`` carries it out.

``decide`` returns one of a closed set of outcomes. Each says when to look at the machine
again by itself; a report, a boot request or an approval may come earlier.

    approved ──▶ Arm | WaitForBudget | End    armed ──▶ Wake | Arm (a new grant) | End
    started  ──▶ WaitUntil | Arm (it restarted) | End | Verify (what was captured)

Whatever is waited for counts from the machine's last sign, or from when the server could hear
again, if that is later (``hearing``): a server that was away takes nobody for silent.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.loop.budgets import Limit
from reconciler.loop.hearing import EVER
from reconciler.planning.system_work import disrupts, its_agent
from reconciler.planning.unattended import may_take
from reconciler.planning.windows import Closed
from reconciler.state.breakers import OpenBreaker
from reconciler.state.observed import CONTACT_MAX_AGE, Capture, ObservedMachine
from reconciler.state.operation import Operation, OperationStatus
from reconciler.state.operation_states import AT_WORK, NOT_BEGUN, OperationState
from reconciler.state.work_begun import Impact
from specs.fleet import DEFAULT_WAITS, Waits
from specs.types.quantities import Duration

if TYPE_CHECKING:
    from agent.wire.report import InstalledSystem

RESTART_SILENCE = timedelta(seconds=30)
"""Anybody can send a boot request: only with this much silence of the agent after it, it is one
of the machine. An agent at work says something every ten seconds."""
BOOT_LASTS = timedelta(minutes=1)
"""From a firmware's boot request on, the machine is taken to be starting."""
QUARANTINE_LOOK = timedelta(seconds=5)
"""Between looks whether a person, by another process, has ended a quarantine."""
BEHIND_LIMIT = timedelta(minutes=10)
"""A commit that another process accepted is taken within seconds; longer nobody waits for it."""
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Arm:
    """Grant one network boot and let the machine begin. Then look again at once."""

    status: OperationStatus
    attempt: int
    reason: str
    impact: Impact | None
    """What budgets count it as when it is armed for the first time; None: it was before."""


@dataclass(frozen=True, slots=True)
class Wake:
    """See to it that the machine starts and asks for a network boot."""

    status: OperationStatus
    again: datetime


@dataclass(frozen=True, slots=True)
class End:
    """Take the operation from the machine: it ended, or its approval lapsed (``planned``).

    Then look again at once: other work may wait.
    """

    status: OperationStatus
    state: OperationState
    reason: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Test that what was captured can be restored; look again when that is done."""

    status: OperationStatus
    capture: Capture


@dataclass(frozen=True, slots=True)
class WaitForBudget:
    """Begin when a budget or a breaker lets; look again when other work ends or time is over."""

    status: OperationStatus
    impact: Impact
    limit: Limit | OpenBreaker


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing is to be done before ``again``; None: nothing will by itself."""

    again: datetime | None
    why: str = ""
    """What approved work waits for, as a clause."""


Outcome = Arm | Wake | End | Verify | WaitForBudget | WaitUntil


@dataclass(frozen=True, slots=True)
class WorkView:
    """One machine's work under way, and what is known of the machine."""

    operations: tuple[OperationStatus, ...]
    """Approved, armed and started ones, in the order of ``queue_order``."""
    seen: ObservedMachine
    captures: tuple[Capture, ...] = ()
    """What these operations brought into the store."""
    lapsed: str = ""
    """Why the present operation is not wanted any more, as a clause; empty where it is."""
    behind_until: datetime | None = None
    """A newer commit is accepted that the server has yet to take: so long nothing is armed."""
    expires: datetime | None = None
    """Until when the approval of the present operation holds, before it is armed; None: always."""
    rollout: str = ""
    """Why the present operation waits in its rollout, as a clause; empty where it does not."""
    store_away: str = ""
    """Why the present operation cannot use images now, as a clause; empty where it can."""
    has_begun: bool = False
    """An earlier attempt of the present operation was claimed: disks may be half written."""
    waits: Waits = DEFAULT_WAITS
    hears_since: datetime = EVER
    """From when on the server could hear: whatever is waited for counts from then, if later."""
    closed: Closed | None = None
    """Why the machine's windows let the present operation not begin; None where they do."""
    in_window: bool = False
    """Documents say that work may be done on the machine at this hour."""
    claimed_attempts: int = 0
    """Attempts of the present operation that an agent claimed."""
    restart_asked: datetime | None = None
    """The first boot request since the agent at work was last heard, or since its claim."""

    @property
    def present(self) -> OperationStatus | None:
        """Return the operation that the machine is at work on, else the next approved one."""
        at_work = (status for status in self.operations if status.state in AT_WORK)
        return next(at_work, next(iter(self.operations), None))

    def heard(self, status: OperationStatus, now: datetime) -> datetime:
        """Return from when on the silence of the agent at work counts."""
        return max(
            self.counted_from(each, now) for each in (status.at, status.last_event_at or status.at)
        )

    def counted_from(self, sign: datetime, now: datetime) -> datetime:
        """Return from when on what follows a sign of the machine is waited for.

        A sign later than now was recorded before the clock was set back.
        """
        return max(sign, self.hears_since) if sign <= now else self.hears_since


def queue_order(
    statuses: Iterable[OperationStatus],
    seen: ObservedMachine,
    now: datetime,
    held: Collection[str] = (),
) -> tuple[OperationStatus, ...]:
    """Return a machine's work in its turn: what may begin now, then what waits for its time.

    ``statuses`` come in the order of their last move, which decides among those. ``held`` are the
    operations that wait for their wave of a rollout: they hold nothing else up either.
    """

    def waits(status: OperationStatus) -> bool:
        return status.operation.op_id in held or not _may_start(status, seen, now)

    return tuple(sorted(statuses, key=waits))


def waits_to_start(status: OperationStatus, seen: ObservedMachine, now: datetime) -> str:
    """Return for which moment approved work waits, as a clause; empty for none."""
    not_before, trigger = status.start.not_before, status.start.trigger
    if not_before is not None and now < not_before:
        return f"{not_before:%Y-%m-%d %H:%M} UTC"
    if trigger == "next-boot" and not _has_started(status, seen, now):
        return "the machine's next start"
    return ""


def _has_started(status: OperationStatus, seen: ObservedMachine, now: datetime) -> bool:
    """Return whether the machine started since: its firmware just asked, or its system says so."""
    if not status.operation.runs_in_system:
        return _is_starting(seen, status.at, now)
    heard = seen.installed
    return heard is not None and heard.at - timedelta(seconds=heard.report.uptime) > status.at


def _may_start(status: OperationStatus, seen: ObservedMachine, now: datetime) -> bool:
    return status.state is not OperationState.APPROVED or not waits_to_start(status, seen, now)


def _is_starting(seen: ObservedMachine, since: datetime, now: datetime) -> bool:
    """Return whether the firmware asked for a boot just now, after ``since``."""
    asked = seen.boot_request
    return asked is not None and since < asked <= now <= asked + BOOT_LASTS


LimitOf = Callable[[Operation, Impact], Limit | OpenBreaker | None]
"""Returns what work of an impact has to wait for now; None where it may begin."""


def impact_of(operation: Operation, seen: ObservedMachine) -> Impact:
    """Return what the operation would do to the machine."""
    if operation.destructive:
        return Impact.DESTRUCTIVE
    if operation.runs_in_system:
        return Impact.DISRUPTIVE if disrupts(operation.instructions.steps) else Impact.SAFE
    return Impact.DISRUPTIVE if seen.system_may_run else Impact.SAFE


def decide(view: WorkView, limit_of: LimitOf, now: datetime) -> Outcome:
    """Return what is to be done now about the machine's work."""
    status = view.present
    if status is None:
        return WaitUntil(None)
    if status.state is OperationState.APPROVED and view.expires and now >= view.expires:
        return End(
            status,
            OperationState.PLANNED,
            f"RW640: its approval held until {view.expires:%Y-%m-%d %H:%M} UTC, and its turn had "
            "not come. Nothing was begun.",
        )
    if view.behind_until is not None:
        return WaitUntil(view.behind_until)  # taking the revision has it looked at, too
    if view.lapsed and status.state in NOT_BEGUN:
        return End(status, OperationState.PLANNED, f"RW616: {view.lapsed}. Nothing was begun.")
    if status.state is OperationState.APPROVED:
        return _approved(status, view, limit_of, now)
    if status.state is OperationState.ARMED:
        return _armed(status, view, now)
    return _started(status, view, now)


def _approved(status: OperationStatus, view: WorkView, limit_of: LimitOf, now: datetime) -> Outcome:
    seen = view.seen
    if seen.quarantine:
        why = f"the end of its quarantine: {seen.quarantine}"
        return WaitUntil(now + QUARANTINE_LOOK, why)
    if moment := waits_to_start(status, seen, now):
        not_before = status.start.not_before
        return WaitUntil(not_before if not_before and now < not_before else None, moment)
    if view.rollout or view.store_away:  # it is looked at when its wave opens, the store is back
        return WaitUntil(None, view.rollout or view.store_away)
    if view.closed is not None:
        return WaitUntil(view.closed.opens, f"a window: {view.closed.reason}")
    impact = impact_of(status.operation, seen)
    if status.operation.runs_in_system:
        if not seen.agent_is_there(now):
            return WaitUntil(None, its_agent(seen))  # it is looked at when its agent asks
    elif not status.start.may_interrupt and not may_take(seen, now, in_window=view.in_window):
        return End(
            status,
            OperationState.PLANNED,
            "RW650: the machine may be in use by now, and nobody agreed to interrupt it. Nothing "
            "was begun: approve it anew, or give the run again.",
        )
    limit = limit_of(status.operation, impact)
    if limit is not None:
        return WaitForBudget(status, impact, limit)
    interrupts = "; the system that may be running there is interrupted"
    is_interrupted = impact is Impact.DISRUPTIVE and not status.operation.runs_in_system
    reason = "its turn came" + (interrupts if is_interrupted else "")
    return Arm(status, status.attempt + 1, reason, impact)


def grant_end(status: OperationStatus, view: WorkView, now: datetime) -> datetime:
    """Return until when the boot grant of an armed operation is good."""
    return view.counted_from(status.at, now) + timedelta(seconds=view.waits.grant_seconds)


def _armed(status: OperationStatus, view: WorkView, now: datetime) -> Outcome:
    seen, waits, expiry = view.seen, view.waits, grant_end(status, view, now)
    if seen.quarantine:
        return _armed_in_quarantine(status, view, now, expiry)
    if status.operation.runs_in_system:
        return _armed_in_system(status, view, now, expiry)
    if now <= expiry:
        gone = _contact_end(view, now)
        if now < gone:
            return WaitUntil(min(gone, expiry + _MOMENT))
        if status.start.trigger == "next-boot":
            return WaitUntil(expiry + _MOMENT)
        again = now + timedelta(seconds=waits.wake_seconds)
        return Wake(status, min(again, expiry + _MOMENT))
    return _unused(status, view)


def _armed_in_system(
    status: OperationStatus, view: WorkView, now: datetime, expiry: datetime
) -> Outcome:
    """Wait for the installed system's agent: nobody else can begin the work, however long."""
    if now <= expiry:
        return WaitUntil(expiry + _MOMENT)
    if not view.seen.agent_is_there(now):
        return WaitUntil(None, its_agent(view.seen))
    limit = f"{Duration(view.waits.grant_seconds)} (waits.grant)"
    return Arm(status, status.attempt + 1, f"its agent did not take it within {limit}", None)


def _unused(status: OperationStatus, view: WorkView) -> Outcome:
    """Return what follows when nobody used a boot grant in its time."""
    seen, waits = view.seen, view.waits
    limit = f"{Duration(waits.grant_seconds)} (waits.grant)"
    if not status.start.may_interrupt:
        return End(
            status,
            OperationState.PLANNED,
            f"RW653: nobody used the boot grant for {limit}; it is not left lying to catch "
            "somebody's next start.",
        )
    unused = status.attempt - view.claimed_attempts
    if unused < waits.attempts:
        reason = f"nobody used the boot grant for {limit}"
        return Arm(status, status.attempt + 1, reason, None)
    asked = seen.boot_request
    sign = (
        f"its firmware last asked at {asked:%H:%M:%S} UTC"
        if asked
        else "its firmware never asked for a network boot"
    )
    return End(
        status,
        OperationState.FAILED,
        f"RW611: the machine did not boot over the network with any of {unused} boot grants "
        f"(waits.attempts) of {limit}; {sign}. Check its power, its boot order and its network "
        "port.",
    )


def _armed_in_quarantine(
    status: OperationStatus, view: WorkView, now: datetime, expiry: datetime
) -> Outcome:
    if view.has_begun:
        return WaitUntil(now + QUARANTINE_LOOK)
    if now <= expiry:
        return WaitUntil(min(now + QUARANTINE_LOOK, expiry + _MOMENT))
    return End(
        status,
        OperationState.FAILED,
        f"RW615: nothing was begun before its boot grant was over, for the machine is in "
        f"quarantine: {view.seen.quarantine}. End it, then give the assignment a new run token.",
    )


def _contact_end(view: WorkView, now: datetime) -> datetime:
    """Return until when an agent that asked for work in RAM is taken to be there."""
    contact = view.seen.ramdisk_contact
    return contact + CONTACT_MAX_AGE if contact is not None and contact <= now else now


def unproved_restart(view: WorkView, now: datetime) -> str:
    """Return why a boot request is no sign of a restart yet, as a clause; empty where it is one.

    Until then the machine neither gets a grant nor is sent to its own disk: it asks again.
    """
    status = view.present
    if status is None or view.seen.quarantine:
        return ""
    if status.state is OperationState.ARMED and now < _contact_end(view, now):
        return "an agent that waits for work was heard on this machine moments ago"
    if status.state is OperationState.STARTED and _restart_due(status, view, now) is not None:
        return "an agent at work was heard on this machine moments ago"
    return ""


def _restart_due(status: OperationStatus, view: WorkView, now: datetime) -> datetime | None:
    """Return when silence will have shown that a machine restarted; None where nobody asked."""
    if status.steps_done or view.restart_asked is None or status.operation.runs_in_system:
        return None
    heard = view.heard(status, now)
    latest = heard + timedelta(seconds=view.waits.silence_seconds)
    return min(max(view.restart_asked, heard), latest) + RESTART_SILENCE


def _started(status: OperationStatus, view: WorkView, now: datetime) -> Outcome:
    if status.steps_done:
        return _captured(status, view.captures) or _reported(status, view, now)
    restart = _restart_due(status, view, now)
    if restart is not None:
        return WaitUntil(restart + _MOMENT) if now <= restart else _restarted(status, view)
    heard = view.heard(status, now)
    quiet = heard + timedelta(seconds=view.waits.silence_seconds)
    overdue = view.counted_from(status.at, now) + timedelta(
        seconds=status.operation.instructions.timeout_seconds
    )
    if now <= min(quiet, overdue):
        return WaitUntil(min(quiet, overdue) + _MOMENT)
    if now > overdue:
        why = "RW633: its time limit passed (options.timeout)"
    else:
        limit = f"{Duration(view.waits.silence_seconds)} (waits.silence)"
        why = f"RW613: nothing was heard within {limit} since {heard:%H:%M:%S} UTC"
    if status.last_event_at is None:
        return _claimed_only(status, view, why)
    if status.operation.destructive:
        return End(status, OperationState.INDETERMINATE, f"{why}.")
    in_system = status.operation.runs_in_system
    left = "what it was at is not known" if in_system else "nothing was written"
    return End(status, OperationState.FAILED, f"{why}; {left}. Look at the machine's console.")


def _claimed_only(status: OperationStatus, view: WorkView, why: str) -> Outcome:
    """Try again what an agent claimed and did not begin: it says so before it begins.

    It may not have heard that the claim was granted. What it says later is refused, so that
    it cannot begin beside the next attempt.
    """
    if view.claimed_attempts < view.waits.attempts:
        reason = f"{why}: the agent claimed the work and began nothing; it is granted anew"
        return Arm(status, status.attempt + 1, reason, None)
    return End(
        status,
        OperationState.FAILED,
        f"{why}. In this last of {view.claimed_attempts} attempts (waits.attempts) the "
        "agent began nothing. Look at the machine's console.",
    )


def _restarted(status: OperationStatus, view: WorkView) -> Outcome:
    if view.claimed_attempts >= view.waits.attempts:
        return End(
            status,
            OperationState.FAILED,
            f"RW612: the machine restarted during each of {view.claimed_attempts} attempts "
            "(waits.attempts). Look at its console, memory and power supply.",
        )
    return Arm(
        status,
        status.attempt + 1,
        f"the machine restarted (network boot request at {view.restart_asked:%H:%M:%S} UTC, "
        f"and its agent is silent) before step {status.step + 1} was done; the same work resumes",
        None,
    )


def _captured(status: OperationStatus, captures: tuple[Capture, ...]) -> Outcome | None:
    """Return what is still to be done about captured images; None when all are good."""
    captures = tuple(each for each in captures if each.operation == status.operation.op_id)
    bad = next((capture for capture in captures if capture.proof), None)
    if bad is not None:
        reason = f"RW471: image {bad.image} cannot be restored: {bad.proof}"
        if len(captures) > 1:
            reason += f". No name of the {len(captures)} images that belong together was moved"
        return End(status, OperationState.FAILED, reason)
    pending = next((capture for capture in captures if capture.proof is None), None)
    return None if pending is None else Verify(status, pending)


def _reported(status: OperationStatus, view: WorkView, now: datetime) -> Outcome:
    if not status.operation.proof:
        return End(status, OperationState.VERIFIED, "all steps are done and checked")
    heard = view.seen.installed
    system = heard.installed if heard else None
    began = status.at if status.at <= now else view.hears_since
    if heard and system and system.operation == status.operation.op_id and heard.at > began:
        return End(status, OperationState.VERIFIED, reported(system))
    waits = view.waits
    limit = view.heard(status, now) + timedelta(seconds=waits.proof_seconds)
    if now <= limit:
        return WaitUntil(limit + _MOMENT)
    return End(
        status,
        OperationState.FAILED,
        f"RW614: the disk was written and read back, but the installed agent did not "
        f"report within {Duration(waits.proof_seconds)} (waits.proof). Look at the machine's "
        "console: does it boot from its disk, does it reach this server?",
    )


def reported(system: "InstalledSystem") -> str:
    """Return that an installed system proved its operation."""
    return f"{system.hostname} started from its own disk and its agent reported"
