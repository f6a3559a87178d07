"""What to do next about the work of one machine. Pure: ``reconcile`` carries it out.

``decide`` returns one of a closed set of outcomes. Each says when to look at the machine
again by itself; a report, a boot request or an approval may come earlier.

    approved ──▶ Arm | WaitForBudget | End    armed ──▶ Wake | Arm (a new grant) | End
    started  ──▶ WaitUntil | Arm (it restarted) | End | Verify (what was captured)
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.loop.budgets import Limit
from reconciler.state.observed import Capture, ObservedMachine
from reconciler.state.operation import Operation, OperationStatus
from reconciler.state.operation_states import AT_WORK, NOT_BEGUN, OperationState
from reconciler.state.work_begun import Impact

GRANT_LIFETIME = timedelta(minutes=15)
"""From arming to the agent's claim: a server's firmware may test its memory for ten minutes."""
REPORT_LIMIT = timedelta(minutes=15)
"""From the last step to the installed agent's report."""
SILENCE = timedelta(minutes=10)
"""An agent at work says something every second; after this long nobody knows what it does."""
WAKE_INTERVAL = timedelta(seconds=20)
"""A NIC whose link still negotiates misses the packet, so it is sent again and again."""
CONTACT_MAX_AGE = timedelta(seconds=40)
"""After this long, an agent that asked for work is no longer taken to be there: it asks at least
every 25 seconds."""
QUARANTINE_LOOK = timedelta(seconds=5)
"""Between looks whether a person, by another process, has ended a quarantine."""
BEHIND_LIMIT = timedelta(minutes=10)
"""A commit that another process accepted is taken within seconds; longer nobody waits for it."""
MAX_ATTEMPTS = 5
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Arm:
    """Grant one network boot and let the machine begin. Then look again at once."""

    status: OperationStatus
    attempt: int
    reason: str
    impact: Impact | None
    """What budgets count it as when it is armed for the first time; None: they do not."""


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
    """Begin when a budget lets; look again when another operation ends or an hour is over."""

    status: OperationStatus
    impact: Impact
    limit: Limit


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing is to be done before ``again``; None: nothing will by itself."""

    again: datetime | None


Outcome = Arm | Wake | End | Verify | WaitForBudget | WaitUntil


@dataclass(frozen=True, slots=True)
class WorkView:
    """One machine's work under way, and what is known of the machine."""

    operations: tuple[OperationStatus, ...]
    """Approved, armed and started ones, in the order of their last move."""
    seen: ObservedMachine
    captures: tuple[Capture, ...] = ()
    """What these operations brought into the store."""
    lapsed: str = ""
    """Why the present operation is not wanted any more, as a clause; empty where it is."""
    behind_until: datetime | None = None
    """A newer commit is accepted that the server has yet to take: so long nothing is armed."""
    expires: datetime | None = None
    """Until when the approval of the present operation holds, before it is armed; None: always."""
    has_begun: bool = False
    """An earlier attempt of the present operation was claimed: disks may be half written."""

    @property
    def present(self) -> OperationStatus | None:
        """Return the operation that the machine is at work on, else the next approved one."""
        at_work = (status for status in self.operations if status.state in AT_WORK)
        return next(at_work, next(iter(self.operations), None))


LimitOf = Callable[[Operation, Impact], Limit | None]
"""Returns what work of an impact has to wait for now; None where it may begin."""


def impact_of(operation: Operation, seen: ObservedMachine) -> Impact | None:
    """Return what the operation would do to the machine; None where budgets do not count it."""
    if operation.destructive:
        return Impact.DESTRUCTIVE
    return Impact.DISRUPTIVE if seen.system_may_run else None


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
        return _approved(status, view.seen, limit_of, now)
    if status.state is OperationState.ARMED:
        return _armed(status, view, now)
    return _started(status, view, now)


def _approved(
    status: OperationStatus, seen: ObservedMachine, limit_of: LimitOf, now: datetime
) -> Outcome:
    if seen.quarantine:
        return WaitUntil(now + QUARANTINE_LOOK)
    impact = impact_of(status.operation, seen)
    limit = limit_of(status.operation, impact) if impact is not None else None
    if impact is not None and limit is not None:
        return WaitForBudget(status, impact, limit)
    interrupts = "; the system that may be running there is interrupted"
    reason = "its turn came" + (interrupts if impact is Impact.DISRUPTIVE else "")
    return Arm(status, status.attempt + 1, reason, impact)


def _armed(status: OperationStatus, view: WorkView, now: datetime) -> Outcome:
    seen, expiry = view.seen, status.at + GRANT_LIFETIME
    if seen.quarantine and view.has_begun:
        return WaitUntil(now + QUARANTINE_LOOK)
    if seen.quarantine and now <= expiry:
        return WaitUntil(min(now + QUARANTINE_LOOK, expiry + _MOMENT))
    if seen.quarantine:
        return End(
            status,
            OperationState.FAILED,
            f"RW615: nothing was begun before its boot grant was over, for the machine is in "
            f"quarantine: {seen.quarantine}. End it, then give the assignment a new run token.",
        )
    if now <= expiry:
        contact = seen.ramdisk_contact
        gone = contact + CONTACT_MAX_AGE if contact else now
        if now < gone:
            return WaitUntil(min(gone, expiry + _MOMENT))
        return Wake(status, min(now + WAKE_INTERVAL, expiry + _MOMENT))
    minutes = int(GRANT_LIFETIME.total_seconds() // 60)
    if status.attempt < MAX_ATTEMPTS:
        reason = f"nobody used the boot grant for {minutes} minutes"
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
        f"RW611: the machine did not boot over the network in {status.attempt} attempts of "
        f"{minutes} minutes; {sign}. Check its power, its boot order and its network port.",
    )


def _started(status: OperationStatus, view: WorkView, now: datetime) -> Outcome:
    if status.steps_done:
        return _captured(status, view.captures) or _reported(status, view.seen, now)
    asked = view.seen.boot_request
    if asked is not None and asked > status.at:
        return _restarted(status, asked)
    heard = status.last_event_at or status.at
    overdue = status.at + timedelta(seconds=status.operation.instructions.timeout_seconds)
    limit = min(heard + SILENCE, overdue)
    if now <= limit:
        return WaitUntil(limit + _MOMENT)
    why = (
        "its time limit passed"
        if now > overdue
        else f"nothing was heard since {heard:%H:%M:%S} UTC"
    )
    if status.operation.destructive:
        return End(status, OperationState.INDETERMINATE, f"RW613: {why}.")
    return End(
        status,
        OperationState.FAILED,
        f"RW613: {why}; nothing was written. Look at the machine's console.",
    )


def _restarted(status: OperationStatus, asked: datetime) -> Outcome:
    if status.attempt >= MAX_ATTEMPTS:
        return End(
            status,
            OperationState.FAILED,
            f"RW612: the machine restarted during each of {status.attempt} attempts. "
            "Look at its console, memory and power supply.",
        )
    return Arm(
        status,
        status.attempt + 1,
        f"the machine restarted (network boot request at {asked:%H:%M:%S} UTC) before "
        f"step {status.step + 1} was done; the same work resumes",
        None,
    )


def _captured(status: OperationStatus, captures: tuple[Capture, ...]) -> Outcome | None:
    """Return what is still to be done about captured images; None when all are good."""
    bad = next((capture for capture in captures if capture.proof), None)
    if bad is not None:
        reason = f"RW471: image {bad.image} cannot be restored: {bad.proof}"
        return End(status, OperationState.FAILED, reason)
    pending = next((capture for capture in captures if capture.proof is None), None)
    return None if pending is None else Verify(status, pending)


def _reported(status: OperationStatus, seen: ObservedMachine, now: datetime) -> Outcome:
    if not status.operation.proof:
        return End(status, OperationState.VERIFIED, "all steps are done and checked")
    heard = seen.installed
    system = heard.installed if heard else None
    if heard and system and system.operation == status.operation.op_id and heard.at > status.at:
        return End(
            status,
            OperationState.VERIFIED,
            f"{system.hostname} started from its own disk and its agent reported",
        )
    limit = (status.last_event_at or status.at) + REPORT_LIMIT
    if now <= limit:
        return WaitUntil(limit + _MOMENT)
    minutes = int(REPORT_LIMIT.total_seconds() // 60)
    return End(
        status,
        OperationState.FAILED,
        f"RW614: the disk was written and read back, but the installed agent did not "
        f"report within {minutes} minutes. Look at the machine's console: does it boot "
        "from its disk, does it reach this server?",
    )
