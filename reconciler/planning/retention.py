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
    lossy: bool = False
    """Whether it lacks what the captured disk did not give."""


def keep(generations: Sequence[Generation], policy: CompiledRetention) -> frozenset[str]:
    """Return the digests of the generations, given the newest first, that are kept.

    The newest one is, whatever its restore test says, the newest good one, whose restore test
    passed, and the newest good one without losses. Only good ones count for the policy. One that
    failed is dropped unless it is the newest; one that was never tested, once there is a good one
    after it that lacks no more.
    """
    good = [each for each in generations if each.restore_test == "proven"]
    whole = [each for each in good if not each.lossy]
    kept = [*generations[:1], *good[: max(1, policy.last)], *whole[:1]]
    kept += [each for each in generations if each.pinned]
    kept += _newest_of_each(good, policy.daily, lambda at: at.timetuple()[:3])
    kept += _newest_of_each(good, policy.weekly, lambda at: at.isocalendar()[:2])
    kept += _newest_of_each(good, policy.monthly, lambda at: at.timetuple()[:2])
    kept += [each for each in _after(good, generations) if each.restore_test == "unproven"]
    possibly_whole = (each for each in _after(whole, generations) if not each.lossy)
    kept += [each for each in possibly_whole if each.restore_test == "unproven"]
    return frozenset(each.digest for each in kept)


def _after(some: Sequence[Generation], generations: Sequence[Generation]) -> Sequence[Generation]:
    """Return the generations that are newer than the newest of some; all where there is none."""
    return generations[: generations.index(some[0])] if some else generations


def _newest_of_each(
    good: Sequence[Generation], count: int, period: Callable[[datetime], tuple[int, ...]]
) -> list[Generation]:
    """Return the newest generation of each of the last ``count`` periods that have one."""
    newest: dict[tuple[int, ...], Generation] = {}
    for each in good:
        newest.setdefault(period(each.at), each)
    return list(newest.values())[:count]
