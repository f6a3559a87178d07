"""What follows for a rollout from what became of the machines of its open wave. Pure.

running ──▶ OpenWave | Finish    every machine of the wave is healthy
        ──▶ Halt                 too many failed, or none of the wave was done
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.state.observed import CONTACT_MAX_AGE, ObservedMachine
from reconciler.state.operation import Operation
from reconciler.state.operation_states import OperationState
from reconciler.state.rollouts import Member, Outcome, Rollout
from specs.fleet import HealthCheck

_S = OperationState
_FAILED = frozenset({_S.FAILED, _S.INDETERMINATE})
_WITHDRAWN = frozenset({_S.PLANNED, _S.CANCELLED})
_NAMED = 3
"""Machines that a reason names."""


@dataclass(frozen=True, slots=True)
class OpenWave:
    """The next wave may begin."""

    wave: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing more begins until a person says so."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """All waves are through."""

    reason: str


Move = OpenWave | Halt | Finish


def outcome_of(member: Member, health: HealthCheck) -> tuple[Outcome, str] | None:
    """Return what became of a machine by the state of its operation, and why.

    None where nothing has yet: it is under way, or its health has to be looked at.
    """
    if member.outcome:
        return member.outcome, member.reason
    if member.state in _FAILED:
        return "failed", member.reason
    if member.state in _WITHDRAWN:
        return "withdrawn", member.reason
    if member.state is _S.VERIFIED and not needs_look(health):
        return "healthy", member.reason
    return None


def ended_badly(member: Member) -> bool:
    """Return whether a machine's work failed, was cancelled or lost its approval."""
    return member.state in _FAILED | _WITHDRAWN


def is_given_up(members: Iterable[Member]) -> bool:
    """Return whether nothing is left of a halted rollout because people took back the rest.

    Where machines failed and nothing else is left, it stays halted: somebody has to say so.
    """
    every = tuple(members)
    taken_back = (
        each.outcome == "withdrawn" or (not each.outcome and each.state in _WITHDRAWN)
        for each in every
    )
    return all(each.outcome or ended_badly(each) for each in every) and any(taken_back)


def needs_look(health: HealthCheck) -> bool:
    """Return whether a machine is looked at once more after its work was verified."""
    return bool(health.soak_seconds or health.url or health.command)


def look_at(
    member: Member, health: HealthCheck, hears_since: datetime, now: datetime
) -> datetime | None:
    """Return from when on a machine's health is looked at; None where its work is not over.

    It is left at work only while the server can hear. A time later than now was recorded before
    the clock was set back.
    """
    if member.outcome or member.state is not _S.VERIFIED or not needs_look(health):
        return None
    since = max(member.at, hears_since) if member.at <= now else hears_since
    return since + timedelta(seconds=health.soak_seconds)


def unheard(operation: Operation, seen: ObservedMachine, now: datetime) -> str:
    """Return why the agent of what was installed is not taken to be there; empty where it is.

    What keeps the identity of its master has no agent of its own to ask.
    """
    if not operation.proof:
        return ""
    report = seen.installed
    said = [at for at in (report.at if report else None, seen.installed_contact) if at]
    if not said or max(said) < now - CONTACT_MAX_AGE:
        since = f"since {max(said):%Y-%m-%d %H:%M:%S} UTC" if said else "at all"
        return f"its agent was not heard {since}"
    system = report.installed if report else None
    if system is None or system.operation != operation.op_id:
        return "its agent reports another system than the one that was written"
    return ""


def next_move(
    rollout: Rollout,
    members: Iterable[Member],
    failed_before: Collection[str],
    *,
    more_wait: bool,
) -> Move | None:
    """Return what follows for a running rollout; None for nothing.

    ``members`` are those of its open wave with what became of them, ``failed_before`` the
    machines of earlier waves that failed and that nobody accepted. ``more_wait`` says whether
    work of later waves has yet to begin.
    """
    wave = tuple(members)
    failed = [*failed_before, *(each.machine for each in wave if each.outcome == "failed")]
    if len(failed) > rollout.terms.max_failures:
        first = next((each for each in wave if each.outcome == "failed"), None)
        who = f" {first.machine}:" if first and len(failed) > 1 else ""
        why = f":{who} {first.reason}" if first else ""
        return Halt(f"{_named(failed)} failed{why}")
    if any(not each.outcome for each in wave):
        return None
    if not more_wait:
        return Finish("no machine is left")
    if not any(each.outcome in {"healthy", "accepted"} for each in wave):
        return Halt(f"no machine of {rollout.wave_name(rollout.wave)} was done")
    return OpenWave(rollout.wave + 1)


def _named(machines: list[str]) -> str:
    more = len(machines) - _NAMED
    return ", ".join(machines[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
