"""States of an operation and the only moves between them.

    planned ──► approved ──► armed ──► started ──► verified
     │ ▲            │         │ ▲ │       │ │ │└──► failed
     │ └────────────┴─────────┤ └─┼───────┘ │ └───► indeterminate ──► verified | cancelled
     └─► cancelled ◄──────────┴───┼─────────┘
                                  └─► failed

An approval lapses (back to ``planned``) where the fleet wants the work no more before the
machine began it. ``armed`` is durable before the machine can boot anything but its own disk.
``started → armed`` is the only way back: it needs evidence that the machine
itself restarted (its firmware asked for a boot), so that the earlier attempt
cannot be running any more, and it takes a new attempt number, which fences off
whatever the earlier one might still say. Mere silence leads to
``indeterminate``, which only a person resolves: the work did run (``verified``), or it did
not (``cancelled``). A person may cancel whatever has not
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
    _S.INDETERMINATE: frozenset({_S.VERIFIED, _S.CANCELLED}),
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


def resolved(*, did_run: bool) -> OperationState:
    """Return where a person's word takes an indeterminate operation."""
    return OperationState.VERIFIED if did_run else OperationState.CANCELLED


def permits(before: OperationState, after: OperationState) -> bool:
    """Return whether an operation may go from ``before`` to ``after``."""
    return after in TRANSITIONS[before]
