"""Remembering what a shard's plan was.

A machine's plan depends on its shard, on the fleet's surroundings, on what was observed
and on the time. Where none of it changed, the groups are those of the last time; their
items are worked out again once somebody looks at them, and have to be the same.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from json import dumps, loads
from typing import TYPE_CHECKING, overload

from reconciler.compiled.cache import FleetCache
from reconciler.compiled.cache_error import CacheError
from reconciler.compiled.index import FleetIndex
from reconciler.compiled.sight import Folds, Outlines, Sight
from reconciler.errors import StateError
from reconciler.planning.estimate import budget_of
from reconciler.planning.groups import group_from, group_items, in_order
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan

if TYPE_CHECKING:
    from reconciler.compiled.shard import Shard
    from reconciler.compiled.shard_planner import ShardPlanner
    from specs.fleet import CompiledFleet


def plan_index(
    index: FleetIndex, revision: str, sight: Sight, now: datetime, cache: FleetCache | None
) -> Plan:
    """Return the plan that ``plan`` would make of the whole fleet."""
    desired = index.fleet(revision)
    lazy = _LazyPlanner(desired, sight, now)
    owners = f"{sight.machines} {index.ownership}" if sight.machines else ""
    base = f"{index.digest} {sight.images} {owners}"
    known = _remembered(cache, base, now)
    missing = [shard for shard in index.shards.values() if shard.digest not in known]
    if missing:
        fresh = dict(_planned_ahead(index, sight, now))
        rest = [shard for shard in missing if shard.digest not in fresh]
        fresh.update(lazy.planner.outlines(rest) if rest else {})
        _remember(cache, base, now, fresh)
        known = {**known, **{digest: groups for digest, (_, groups) in fresh.items()}}
    groups = list(group_items(lazy.planner.fleet_items())) if desired.unsupported else []
    for shard in index.shards.values():
        for number, data in enumerate(known[shard.digest]):
            items = _Items(lazy, shard, number, data["count"], data["digest"])
            groups.append(group_from(data, items))
    return Plan(revision, now, in_order(groups), budget_of(desired.settings))


def _planned_ahead(index: FleetIndex, sight: Sight, now: datetime) -> Outlines:
    """Return what was planned with the same knowledge and time."""
    made = index.planned_ahead
    if made is None or sight.machines or (made.images, made.now) != (sight.images, now):
        return {}
    return made.outlines


class _LazyPlanner:
    """What plans shards, loaded when there is one to plan."""

    def __init__(self, desired: "CompiledFleet", sight: Sight, now: datetime) -> None:
        self._desired = desired
        self._sight = sight
        self._now = now

    @cached_property
    def planner(self) -> "ShardPlanner":
        """Return the planner."""
        from reconciler.compiled.shard_planner import ShardPlanner  # noqa: PLC0415 - slow to load

        return ShardPlanner(self._desired, self._sight, self._now)


class _Items(Sequence[PlanItem]):
    """The items of one fold, worked out when somebody looks at them."""

    def __init__(
        self, lazy: _LazyPlanner, shard: "Shard", number: int, count: int, digest: str
    ) -> None:
        self._lazy = lazy
        self._shard = shard
        self._number = number
        self._count = count
        self._digest = digest

    @cached_property
    def _items(self) -> Sequence[PlanItem]:
        groups = self._lazy.planner.groups(self._shard)
        if self._number >= len(groups) or groups[self._number].digest != self._digest:
            raise StateError(
                "RW760",
                f"what was observed of group {self._shard.group} changed while it was planned",
                "Run the command again",
            )
        return groups[self._number].items

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> PlanItem: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[PlanItem]: ...
    def __getitem__(self, place: int | slice) -> PlanItem | Sequence[PlanItem]:
        return self._items[place]


def _remembered(cache: FleetCache | None, base: str, now: datetime) -> dict[str, Folds]:
    """Return the groups that still hold, by the digest of their shard."""
    if cache is None:
        return {}
    try:
        rows = cache.planned(base)
    except CacheError:
        return {}
    present = now.isoformat()
    good = {
        digest: body
        for digest, made, until, body in rows
        if made <= present and (not until or present < until)
    }
    # As one text: there are thousands, and each call costs more than reading what it is given.
    return dict(zip(good, loads(f"[{','.join(good.values())}]"), strict=True))


def _remember(
    cache: FleetCache | None,
    base: str,
    now: datetime,
    fresh: Mapping[str, tuple[str, Folds]],
) -> None:
    if cache is not None:
        rows = [
            (digest, now.isoformat(), until, dumps(groups, separators=(",", ":")))
            for digest, (until, groups) in fresh.items()
        ]
        cache.remember(base, rows)
