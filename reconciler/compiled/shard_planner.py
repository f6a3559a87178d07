"""Planning single shards of one fleet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial

from reconciler.compiled.crew import Crew, CrewError
from reconciler.compiled.processes import process_count
from reconciler.compiled.shard import FreshShard, Shard
from reconciler.compiled.sight import Folds, Outlines, Sight
from reconciler.planning.groups import PlanGroup, group_data, group_items, outline
from reconciler.planning.item import PlanItem
from reconciler.planning.planner import fleet_items, outline_machines, plan_machines
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from specs.fleet import CompiledFleet, CompiledMachine

WORTH_A_PROCESS = 2000
"""Machines to plan below which starting another process costs more than it saves."""


class ShardPlanner:
    """Plans single shards of one fleet."""

    def __init__(self, desired: CompiledFleet, sight: Sight, now: datetime) -> None:
        self._desired = desired
        self._sight = sight
        self._now = now
        self._items: dict[str, tuple[PlanGroup, ...]] = {}

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

    def groups(self, shard: Shard) -> tuple[PlanGroup, ...]:
        """Return the groups of a shard with their items."""
        if shard.digest not in self._items:
            machines = shard.machines()
            seen = self._seen(machines)
            items = plan_machines(self._desired, machines, *seen, self._now)
            self._items[shard.digest] = group_items(items)
        return self._items[shard.digest]

    def outline(self, shard: Shard) -> tuple[str, str, Folds]:
        """Return the shard's digest, until when its plan holds, and its groups."""
        return shard.digest, *self.outline_of(shard.machines())

    def outline_of(self, machines: Sequence[CompiledMachine]) -> tuple[str, Folds]:
        """Return until when the plan of a group's machines holds, and its groups."""
        hardware, observed = self._seen(machines)
        alike = outline_machines(self._desired, machines, hardware, observed, self._now)
        groups = outline(alike)
        until = _holds_until(self._desired, machines, observed, self._now)
        text = until.isoformat() if until else ""
        return text, [dict(group_data(each)) for each in groups]

    def fleet_items(self) -> Iterator[PlanItem]:
        """Yield what concerns no machine."""
        return fleet_items(self._desired)

    def outlines(self, shards: Sequence[Shard]) -> Outlines:
        """Return the outlines of shards, worked out by several processes where it is worth it."""
        count = process_count(sum(shard.count for shard in shards) // WORTH_A_PROCESS)
        found: list[tuple[str, str, Folds]]
        if count > 1:
            self.prepare()
            # Read here: a connection to SQLite must not be used behind a fork.
            held = [FreshShard(each.group, each.count, each.digest, each.body) for each in shards]
            try:
                with Crew(partial(_Member, self), [held[n::count] for n in range(count)]) as crew:
                    found = [each for part in crew.ask(_outlines, [None] * count) for each in part]
            except CrewError:
                found = [self.outline(shard) for shard in shards]
        else:
            found = [self.outline(shard) for shard in shards]
        return {digest: (until, groups) for digest, until, groups in found}

    def _seen(self, machines: Sequence[CompiledMachine]) -> tuple[FleetHardware, Observed]:
        """Return the hardware that may own what was observed, and that.

        Where nothing was, the rest of the fleet need not be read.
        """
        if self._sight.machines:
            return self._hardware, self._observed
        hardware = FleetHardware(machines)
        return hardware, self._sight.observe(machines, hardware)


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
        seen = observed.machines.get(machine.name)
        if seen is not None:
            reports = seen.ramdisk, seen.installed
            turns += [each.at + max_age for each in reports if each is not None]
    # A report as old as it may be is too old in the next moment.
    return min((turn for turn in turns if turn >= now), default=None)


@dataclass(frozen=True)
class _Member:
    planner: ShardPlanner
    shards: Sequence[Shard]


def _outlines(member: _Member, _argument: object) -> list[tuple[str, str, Folds]]:
    return [member.planner.outline(shard) for shard in member.shards]
