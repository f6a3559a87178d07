"""States of an operation and the only moves between them.

    planned ──► approved ──► armed ──► started ──► verified
     │ ▲            │         │ ▲ │       │ │ │└──► failed
     │ └────────────┴─────────┤ └─┼───────┘ │ └───► indeterminate ──► verified | cancelled
     └─► cancelled ◄──────────┴───┼─────────┘
                                  └─► failed       indeterminate | failed ──► started | verified

An approval lapses (back to ``planned``) where the fleet wants the work no more before the
machine began it. ``armed`` is durable before the machine can boot anything but its own disk.
``started → armed`` is the only way back. It needs evidence that the earlier attempt
cannot be running any more: the machine restarted (its firmware asked for a boot, and its
agent was silent then), or the agent claimed the work and never said that it begins, which
it does first. It takes a new attempt number, which fences off whatever the earlier one
might still say. Mere silence in the middle of the work leads to ``indeterminate``, which a
person resolves (it did run: ``verified``, or it did not: ``cancelled``), or the truth that
arrives late: what ended for silence alone
(``ended_for_silence``) goes on when the agent of that very attempt is heard after all, and
is verified when the system that it installed reports, unless other work began on the machine
meanwhile. A person may cancel whatever has not ended: an agent at work is refused from then
on, and stops.
"""

from enum import StrEnum


class OperationState(StrEnum):
    """Where an operation stands."""

    PLANNED = "planned"
    APPROVED = "approved"
    ARMED = "armed"
    STARTED = "started"
    VERIFIED = "verified"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INDETERMINATE = "indeterminate"


_S = OperationState

TRANSITIONS: dict[OperationState, frozenset[OperationState]] = {
    _S.PLANNED: frozenset({_S.APPROVED, _S.CANCELLED}),
    _S.APPROVED: frozenset({_S.ARMED, _S.PLANNED, _S.CANCELLED}),
    _S.ARMED: frozenset({_S.STARTED, _S.ARMED, _S.PLANNED, _S.FAILED, _S.CANCELLED}),
    _S.STARTED: frozenset({_S.VERIFIED, _S.FAILED, _S.INDETERMINATE, _S.ARMED, _S.CANCELLED}),
    _S.INDETERMINATE: frozenset({_S.VERIFIED, _S.CANCELLED, _S.STARTED}),
    _S.VERIFIED: frozenset(),
    _S.FAILED: frozenset({_S.STARTED, _S.VERIFIED}),
    _S.CANCELLED: frozenset(),
}
"""Every permitted move. ``armed → armed`` is a new attempt after a grant that nobody used."""

ACTIVE = frozenset({_S.APPROVED, _S.ARMED, _S.STARTED})
"""The machine is taken: no other operation may be armed for it."""

AT_WORK = frozenset({_S.ARMED, _S.STARTED})
"""The machine may boot the Deploy-OS, or does: what budgets of a moment count."""

NOT_BEGUN = frozenset({_S.APPROVED, _S.ARMED})
"""No agent has begun: the approval can still be taken back."""

ENDED = frozenset({_S.VERIFIED, _S.FAILED, _S.CANCELLED})
"""Nothing follows, but for what ended for silence."""

_SILENCE = ("RW613:", "RW614:")


def resolved(*, did_run: bool) -> OperationState:
    """Return where a person's word takes an indeterminate operation."""
    return OperationState.VERIFIED if did_run else OperationState.CANCELLED


def ended_for_silence(state: OperationState, reason: str) -> bool:
    """Return whether work ended only because nothing was heard of it, as its end says.

    What a person said of it since stands.
    """
    return state in {_S.INDETERMINATE, _S.FAILED} and reason.startswith(_SILENCE)


def permits(before: OperationState, after: OperationState, reason: str = "") -> bool:
    """Return whether an operation may go from ``before`` to ``after``.

    ``reason`` is why it stands at ``before``.
    """
    revives = before is _S.FAILED or (before is _S.INDETERMINATE and after is _S.STARTED)
    return after in TRANSITIONS[before] and (not revives or ended_for_silence(before, reason))
