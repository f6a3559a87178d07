"""Which generations of an image are kept. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from specs.fleet import CompiledRetention


class Generation(NamedTuple):
    """One image that a name points to, or pointed to."""

    digest: str
    at: datetime
    """When the name pointed to it last."""
    restore_test: Literal["proven", "failed", "unproven"]
    pinned: bool


def keep(generations: Sequence[Generation], policy: CompiledRetention) -> frozenset[str]:
    """Return the digests of the generations, given the newest first, that are kept.

    The newest one is, whatever its restore test says, and the newest good one: one whose restore
    test passed. Only good ones count for the policy. One that failed is dropped unless it is the
    newest; one that was never tested, once there is a good one after it.
    """
    good = [each for each in generations if each.restore_test == "proven"]
    kept = [*generations[:1], *good[: max(1, policy.last)]]
    kept += [each for each in generations if each.pinned]
    kept += _newest_of_each(good, policy.daily, lambda at: at.timetuple()[:3])
    kept += _newest_of_each(good, policy.weekly, lambda at: at.isocalendar()[:2])
    kept += _newest_of_each(good, policy.monthly, lambda at: at.timetuple()[:2])
    untested = generations[: generations.index(good[0])] if good else generations
    kept += [each for each in untested if each.restore_test == "unproven"]
    return frozenset(each.digest for each in kept)


def _newest_of_each(
    good: Sequence[Generation], count: int, period: Callable[[datetime], tuple[int, ...]]
) -> list[Generation]:
    """Return the newest generation of each of the last ``count`` periods that have one."""
    newest: dict[tuple[int, ...], Generation] = {}
    for each in good:
        newest.setdefault(period(each.at), each)
    return list(newest.values())[:count]
