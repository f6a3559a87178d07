"""States of an operation and the only moves between them.

    planned ──► approved ──► armed ──► started ──► verified
     │ ▲            │         │ ▲ │       │ │ │└──► failed
     │ └────────────┴─────────┤ └─┼───────┘ │ └───► indeterminate ──► verified | failed
     └─► cancelled ◄──────────┴───┼─────────┘
                                  └─► failed

An approval lapses (back to ``planned``) where the fleet wants the work no more before the
machine began it. ``armed`` is durable before the machine can boot anything but its own disk.
``started → armed`` is the only way back. It needs evidence that the earlier attempt
cannot be running any more: the machine restarted (its firmware asked for a boot, and its
agent was silent then), or the agent claimed the work and never said that it begins, which
it does first. It takes a new attempt number, which fences off whatever the earlier one
might still say. Mere silence in the middle of the work leads to
``indeterminate``, which only a person resolves. A person may cancel whatever has not
ended: an agent at work is refused from then on, and stops.
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
    _S.INDETERMINATE: frozenset({_S.VERIFIED, _S.FAILED}),
    _S.VERIFIED: frozenset(),
    _S.FAILED: frozenset(),
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
"""Nothing follows."""


def permits(before: OperationState, after: OperationState) -> bool:
    """Return whether an operation may go from ``before`` to ``after``."""
    return after in TRANSITIONS[before]
