"""What to do next about each operation under way. Pure: the loop carries it out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.loop.budget import Effect
from reconciler.loop.turn import turns
from reconciler.planning.scenario_work import CONTACT_MAX_AGE
from reconciler.state.beginning import INTERRUPTS, ITS_TURN
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Capture, Observed, ObservedMachine
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, OperationState
from specs.fleet import CompiledFleet

GRANT_LIFETIME = timedelta(minutes=15)
"""From arming to the agent's claim: a server's firmware may test its memory for ten minutes."""
PROOF_LIFETIME = timedelta(minutes=15)
"""From the last step to the installed agent's report."""
SILENCE = timedelta(minutes=10)
"""An agent at work says something every second; after this long nobody knows what it does."""
MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Arm:
    """Grant one network boot and let the machine begin."""

    status: OperationStatus
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class Wake:
    """See to it that the machine starts and asks for a network boot."""

    status: OperationStatus


@dataclass(frozen=True, slots=True)
class End:
    """Write the operation's end."""

    status: OperationStatus
    state: OperationState
    reason: str


@dataclass(frozen=True, slots=True)
class Prove:
    """Prove that what was captured can be restored, then let its name point to it."""

    status: OperationStatus
    capture: Capture


Decision = Arm | Wake | End | Prove


def follow_up(
    desired: CompiledFleet,
    observed: Observed,
    now: datetime,
    hardware: FleetHardware | None = None,
) -> tuple[Decision, ...]:
    """Return what is to be done now; nothing for operations that only need patience.

    ``hardware`` is of the desired machines, for callers who have it at hand.
    """
    decisions: list[Decision] = []
    under_way = [status for status in observed.operations if status.state in ACTIVE]
    if not under_way:
        return ()
    hardware = hardware or FleetHardware(desired.machines.values())
    for turn in turns(desired, observed, now, hardware):
        if turn.hold is None:
            reason = INTERRUPTS if turn.effect is Effect.DISRUPTIVE else ITS_TURN
            decisions.append(Arm(turn.status, turn.status.attempt + 1, reason))
    for status in under_way:
        if status.state is OperationState.APPROVED:
            continue
        name = hardware.owner(status.operation.identities) or ""
        machine = observed.machines.get(name, ObservedMachine())
        if status.state is OperationState.ARMED:
            decisions += _armed(status, machine, now)
        elif status.state is OperationState.STARTED:
            captures = tuple(
                capture
                for capture in observed.captures
                if capture.operation == status.operation.op_id
            )
            decisions += _started(status, machine, captures, now)
    return tuple(decisions)


def _armed(
    status: OperationStatus, machine: ObservedMachine, now: datetime
) -> tuple[Decision, ...]:
    if now - status.at <= GRANT_LIFETIME:
        contact = machine.ramdisk_contact
        waiting = contact is not None and (now - contact).total_seconds() < CONTACT_MAX_AGE
        return () if waiting else (Wake(status),)
    minutes = int(GRANT_LIFETIME.total_seconds() // 60)
    if status.attempt < MAX_ATTEMPTS:
        return (
            Arm(status, status.attempt + 1, f"nobody used the boot grant for {minutes} minutes"),
        )
    asked = machine.boot_request
    sign = (
        f"its firmware last asked at {asked:%H:%M:%S} UTC"
        if asked
        else "its firmware never asked for a network boot"
    )
    return (
        End(
            status,
            OperationState.FAILED,
            f"RW611: the machine did not boot over the network in {status.attempt} attempts of "
            f"{minutes} minutes; {sign}. Check its power, its boot order and its network port.",
        ),
    )


def _started(
    status: OperationStatus,
    machine: ObservedMachine,
    captures: tuple[Capture, ...],
    now: datetime,
) -> tuple[Decision, ...]:
    if status.steps_done:
        return _captured(status, captures) or _proof(status, machine, now)
    heard = status.last_event_at or status.at
    asked = machine.boot_request
    if asked is not None and asked > status.at:
        if status.attempt >= MAX_ATTEMPTS:
            return (
                End(
                    status,
                    OperationState.FAILED,
                    f"RW612: the machine restarted during each of {status.attempt} attempts. "
                    "Look at its console, memory and power supply.",
                ),
            )
        return (
            Arm(
                status,
                status.attempt + 1,
                f"the machine restarted (network boot request at {asked:%H:%M:%S} UTC) before "
                f"step {status.step + 1} was done; the same work resumes",
            ),
        )
    overdue = now - status.at > timedelta(seconds=status.operation.timeout_seconds)
    if now - heard > SILENCE or overdue:
        why = (
            "its time limit passed" if overdue else f"nothing was heard since {heard:%H:%M:%S} UTC"
        )
        if status.operation.destructive:
            return (End(status, OperationState.INDETERMINATE, f"RW613: {why}."),)
        return (
            End(
                status,
                OperationState.FAILED,
                f"RW613: {why}; nothing was written. Look at the machine's console.",
            ),
        )
    return ()


def _captured(status: OperationStatus, captures: tuple[Capture, ...]) -> tuple[Decision, ...]:
    """Return what is still to be done about captured images; nothing when all are good."""
    pending = tuple(Prove(status, capture) for capture in captures if capture.proof is None)
    bad = [capture for capture in captures if capture.proof]
    if bad:
        reason = f"RW471: image {bad[0].image} cannot be restored: {bad[0].proof}"
        return (End(status, OperationState.FAILED, reason),)
    return pending


def _proof(
    status: OperationStatus, machine: ObservedMachine, now: datetime
) -> tuple[Decision, ...]:
    if not status.operation.proof:
        return (End(status, OperationState.VERIFIED, "all steps are done and checked"),)
    heard = machine.installed
    system = heard.installed if heard else None
    if heard and system and system.operation == status.operation.op_id and heard.at > status.at:
        return (
            End(
                status,
                OperationState.VERIFIED,
                f"{system.hostname} started from its own disk and its agent reported",
            ),
        )
    done = status.last_event_at or status.at
    if now - done > PROOF_LIFETIME:
        minutes = int(PROOF_LIFETIME.total_seconds() // 60)
        return (
            End(
                status,
                OperationState.FAILED,
                f"RW614: the disk was written and read back, but the installed agent did not "
                f"report within {minutes} minutes. Look at the machine's console: does it boot "
                "from its disk, does it reach this server?",
            ),
        )
    return ()
