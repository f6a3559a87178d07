"""Planning shard by shard, and remembering what a shard's plan was.

A machine's plan depends on its shard, on the fleet's surroundings, on what was observed
and on the time. Where none of it changed, the folds are those of the last time; their
items are worked out again once somebody looks at them, and have to be the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from json import dumps, loads
from typing import Any, overload

from reconciler.errors import StateError
from reconciler.fleet.cache import CacheError, FleetCache
from reconciler.fleet.crew import Crew, CrewError
from reconciler.fleet.index import FleetIndex
from reconciler.fleet.processes import process_count
from reconciler.fleet.shard import Shard
from reconciler.hardware import FleetHardware
from reconciler.observed import Observed, ObservedMachine
from reconciler.planning.fold import Fold, fold, fold_data, fold_from, in_order
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan
from reconciler.planning.planner import budget_of, fleet_items, plan_machines
from specs.compiled import CompiledFleet, CompiledMachine

WORTH_A_PROCESS = 2000
"""Machines to plan below which starting another process costs more than it saves."""

Observe = Callable[[Iterable[CompiledMachine], FleetHardware], Observed]
"""Returns what was observed of some machines, given the hardware of the whole fleet."""


@dataclass(frozen=True)
class Sight:
    """What is known of the fleet, and how to read it.

    ``machines`` changes with everything that was observed of machines, and is empty where
    nothing was; ``images`` changes with the images. ``observe`` reads both.
    """

    machines: str
    images: str
    observe: Observe


def plan_index(
    index: FleetIndex, revision: str, sight: Sight, now: datetime, cache: FleetCache | None
) -> Plan:
    """Return the plan that ``plan`` would make of the whole fleet."""
    desired = index.fleet(revision)
    planner = _Planner(desired, index.shards, sight, now)
    owners = f"{sight.machines} {index.ownership}" if sight.machines else ""
    base = f"{index.digest} {sight.images} {owners}"
    known = _remembered(cache, base, now)
    missing = [shard for shard in index.shards.values() if shard.digest not in known]
    if missing:
        fresh = _plan_all(planner, missing)
        _remember(cache, base, now, fresh)
        known = {**known, **{digest: folds for digest, (_, folds) in fresh.items()}}
    folds = list(fold(fleet_items(desired)))
    for shard in index.shards.values():
        for number, data in enumerate(known[shard.digest]):
            items = _Items(planner, shard, number, data["count"], data["digest"])
            folds.append(fold_from(data, items))
    return Plan(revision, now, in_order(folds), budget_of(desired))


Folds = Sequence[Mapping[str, Any]]
"""A shard's folds as ``fold_data`` gives them."""


class _Planner:
    """Plans single shards of one fleet."""

    def __init__(
        self, desired: CompiledFleet, shards: Mapping[str, Shard], sight: Sight, now: datetime
    ) -> None:
        self._desired = desired
        self._shards = shards
        self._sight = sight
        self._now = now
        self._items: dict[str, tuple[Fold, ...]] = {}

    def prepare(self) -> None:
        """Read what all shards need, before processes are forked that would each read it."""
        if self._sight.machines:
            _ = self._observed

    @cached_property
    def _hardware(self) -> FleetHardware:
        return FleetHardware(self._desired.machines.values())

    @cached_property
    def _observed(self) -> Observed:
        return self._sight.observe(self._desired.machines.values(), self._hardware)

    def folds(self, shard: Shard) -> tuple[Fold, ...]:
        """Return the folds of a shard with their items."""
        if shard.digest not in self._items:
            machines = shard.machines()
            self._items[shard.digest] = fold(self._plan(machines, *self._seen(machines)))
        return self._items[shard.digest]

    def outline(self, shard: Shard) -> tuple[str, str, Folds]:
        """Return the shard's digest, until when its plan holds, and its folds."""
        machines = shard.machines()
        hardware, observed = self._seen(machines)
        folds = fold(self._plan(machines, hardware, observed))
        until = _holds_until(self._desired, machines, observed, self._now)
        text = until.isoformat() if until else ""
        return shard.digest, text, [dict(fold_data(each)) for each in folds]

    def _plan(
        self,
        machines: Iterable[CompiledMachine],
        hardware: FleetHardware,
        observed: Observed,
    ) -> Iterator[PlanItem]:
        return plan_machines(self._desired, machines, hardware, observed, self._now)

    def _seen(self, machines: Sequence[CompiledMachine]) -> tuple[FleetHardware, Observed]:
        """Return the hardware that may own what was observed, and that.

        Where nothing was, the rest of the fleet need not be read.
        """
        if self._sight.machines:
            return self._hardware, self._observed
        hardware = FleetHardware(machines)
        return hardware, self._sight.observe(machines, hardware)


class _Items(Sequence[PlanItem]):
    """The items of one fold, worked out when somebody looks at them."""

    def __init__(
        self, planner: _Planner, shard: Shard, number: int, count: int, digest: str
    ) -> None:
        self._planner = planner
        self._shard = shard
        self._number = number
        self._count = count
        self._digest = digest

    @cached_property
    def _items(self) -> Sequence[PlanItem]:
        folds = self._planner.folds(self._shard)
        if self._number >= len(folds) or folds[self._number].digest != self._digest:
            raise StateError(
                "RW760",
                f"what was observed of group {self._shard.group} changed while it was planned",
                "Run the command again",
            )
        return folds[self._number].items

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> PlanItem: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[PlanItem]: ...
    def __getitem__(self, place: int | slice) -> PlanItem | Sequence[PlanItem]:
        return self._items[place]


def _holds_until(
    desired: CompiledFleet,
    machines: Iterable[CompiledMachine],
    observed: Observed,
    now: datetime,
) -> datetime | None:
    """Return the next time at which the plan may change by itself; None if it never does.

    Time enters a plan by the age of reports and by the ends of holds, nowhere else.
    """
    max_age = timedelta(seconds=desired.settings.observation_max_age_seconds)
    turns = [hold.until for hold in desired.holds]
    for machine in machines:
        seen = observed.machines.get(machine.name, ObservedMachine())
        turns += [each.at + max_age for each in (seen.in_ram, seen.installed) if each is not None]
    return min((turn for turn in turns if turn > now), default=None)


def _plan_all(planner: _Planner, shards: Sequence[Shard]) -> dict[str, tuple[str, Folds]]:
    """Return until when the plan of each shard holds, and its folds, by the shard's digest."""
    count = process_count(sum(shard.count for shard in shards) // WORTH_A_PROCESS)
    found: list[tuple[str, str, Folds]]
    if count > 1:
        planner.prepare()
        try:
            with Crew(partial(_Member, planner), [shards[n::count] for n in range(count)]) as crew:
                found = [each for part in crew.ask(_outlines, [None] * count) for each in part]
        except CrewError:
            found = [planner.outline(shard) for shard in shards]
    else:
        found = [planner.outline(shard) for shard in shards]
    return {digest: (until, folds) for digest, until, folds in found}


@dataclass(frozen=True)
class _Member:
    planner: _Planner
    shards: Sequence[Shard]


def _outlines(member: _Member, _argument: object) -> list[tuple[str, str, Folds]]:
    return [member.planner.outline(shard) for shard in member.shards]


def _remembered(cache: FleetCache | None, base: str, now: datetime) -> dict[str, Folds]:
    """Return the folds that still hold, by the digest of their shard."""
    if cache is None:
        return {}
    try:
        rows = cache.planned(base)
    except CacheError:
        return {}
    present = now.isoformat()
    return {
        digest: loads(body)
        for digest, made, until, body in rows
        if made <= present and (not until or present < until)
    }


def _remember(
    cache: FleetCache | None,
    base: str,
    now: datetime,
    fresh: Mapping[str, tuple[str, Folds]],
) -> None:
    if cache is not None:
        rows = [
            (digest, now.isoformat(), until, dumps(folds, separators=(",", ":")))
            for digest, (until, folds) in fresh.items()
        ]
        cache.remember(base, rows)
