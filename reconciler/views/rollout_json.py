"""Rollouts as JSON data. Times are ISO 8601 in UTC."""

from collections.abc import Iterable
from typing import Any

from reconciler.state.rollouts import Member, RolloutEvent, RolloutProgress


def summary_document(progress: RolloutProgress) -> dict[str, Any]:
    """Return how far a rollout is; of a machine that is ``pending`` nothing has become yet."""
    rollout, counts = progress
    return {
        "rollout": rollout.rollout_id,
        "run": rollout.run_id,
        "group": rollout.group,
        "at": rollout.at.isoformat(),
        "state": rollout.state,
        "since": rollout.since.isoformat(),
        "reason": rollout.reason,
        "wave": rollout.wave,
        "waves": [
            {
                "name": name,
                "counts": {key or "pending": each for key, each in counts.get(place, {}).items()},
            }
            for place, name in enumerate(rollout.terms.waves, 1)
        ],
    }


def rollout_document(
    progress: RolloutProgress,
    members: Iterable[Member],
    events: Iterable[RolloutEvent],
) -> dict[str, Any]:
    """Return a rollout with its machines and its history."""
    terms = progress.rollout.terms
    return {
        **summary_document(progress),
        "maxFailures": terms.max_failures,
        "health": terms.health._asdict(),
        "machines": [
            {
                "machine": each.machine,
                "operation": each.op_id,
                "wave": each.wave,
                "outcome": each.outcome or "pending",
                "state": each.state.value,
                "reason": each.reason,
                "problem": each.problem,
            }
            for each in members
        ],
        "events": [{**each._asdict(), "at": each.at.isoformat()} for each in events],
    }
