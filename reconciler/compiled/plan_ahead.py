"""Planning machines where they were just compiled, while they are in memory.

What was compiled is otherwise written as shards and read again by whoever plans it, which
takes as long as planning.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.compiled.part import Part
from reconciler.compiled.shard_planner import ShardPlanner
from reconciler.compiled.sight import Outlines, PlanAhead, Sight
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from specs.fleet import CompiledFleet, CompiledMachine


@dataclass(frozen=True, slots=True)
class AheadOf:
    """What the machines of a part are planned with."""

    surroundings: CompiledFleet
    ahead: PlanAhead


def outlined(part: Part, wanted: AheadOf) -> Outlines:
    """Plan the machines that were compiled for a part, group by group."""
    ahead = wanted.ahead

    def observe(_machines: Iterable[CompiledMachine], _hardware: FleetHardware) -> Observed:
        return Observed(images=ahead.images)

    planner = ShardPlanner(wanted.surroundings, Sight("", ahead.described, observe), ahead.now)
    return {shard.digest: planner.outline_of(machines) for shard, machines in part.compiled}
