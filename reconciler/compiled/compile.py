"""Compiling a large fleet by several processes at once.

This way knows sound fleets only. Where something is unusual it says None, and the
whole fleet is compiled in the ordinary way, which puts what is wrong into words.
"""

import pickle
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from reconciler.compiled.body_digest import body_digest
from reconciler.compiled.claims import Claims
from reconciler.compiled.crew import Alone, Crew, CrewError
from reconciler.compiled.index import Compiled, FleetIndex, Groundwork, PlannedAhead
from reconciler.compiled.part import CompiledPart, Files, Part, compiled, read
from reconciler.compiled.processes import BYTES_WORTH_A_PROCESS, process_count
from reconciler.compiled.shard import Shard, shard
from specs.compile.fleet import compile_surroundings
from specs.compile.machine_context import InvalidPartError
from specs.diagnostics.collector import Diagnostics
from specs.fleet import CompiledFleet
from specs.prepared import prepare

if TYPE_CHECKING:
    from reconciler.compiled.sight import Folds, PlanAhead


def compile_index(files: Mapping[str, bytes], ahead: "PlanAhead | None" = None) -> Compiled | None:
    """Return the fleet that sound files describe; None when they are not.

    ``ahead`` is the plan that will be asked for next: it is made on the way.
    """
    parts = _parts(sorted(files.items()))
    try:
        if len(parts) == 1:
            return _index(Alone(Part(parts[0])), 1, ahead)
        _load(ahead)
        with Crew(Part, parts) as crew:
            return _index(crew, len(parts), ahead)
    except (InvalidPartError, CrewError):
        return None


def _load(ahead: "PlanAhead | None") -> None:
    """Load what the processes will need, lest each of them does so by itself."""
    import specs.kinds.group  # noqa: PLC0415 - small fleets may have none
    import specs.kinds.machine  # noqa: PLC0415 - likewise
    import specs.yaml.alike  # noqa: F401, PLC0415 - small fleets are read without

    if ahead is not None:
        import reconciler.compiled.plan_ahead  # noqa: F401, PLC0415 - not all that compiles is planned


def _index(crew: Crew[Part] | Alone[Part], size: int, ahead: "PlanAhead | None") -> Compiled | None:
    contents = crew.ask(read, [None] * size)
    claims = Claims.of(chain.from_iterable(part.claims for part in contents))
    if claims is None:
        return None
    diagnostics = Diagnostics()
    others = [resource for part in contents for resource in part.others]
    surroundings, context = compile_surroundings(others, diagnostics, "")
    parts = crew.ask(compiled, [context] * size)
    for found in contents:
        diagnostics.extend(found.warnings)
    for part in parts:
        diagnostics.extend(part.warnings)
    counts = tuple(map(sum, zip(*(part.selected for part in parts), strict=True)))
    if context.surroundings.unmatched(counts):
        return None
    index = FleetIndex(
        surroundings=surroundings,
        shards=_merged(parts),
        warnings=diagnostics.in_order(),
        digest=body_digest(pickle.dumps(surroundings)),
        ownership=claims.digest,
        planned_ahead=None if ahead is None else _planned(crew, size, surroundings, ahead),
    )
    return index, Groundwork(context, claims, counts, prepared=prepare())


def _planned(
    crew: Crew[Part] | Alone[Part], size: int, surroundings: CompiledFleet, ahead: "PlanAhead"
) -> PlannedAhead:
    from reconciler.compiled.plan_ahead import AheadOf, outlined  # noqa: PLC0415 - slow to load

    outlines: dict[str, tuple[str, Folds]] = {}
    for found in crew.ask(outlined, [AheadOf(surroundings, ahead)] * size):
        outlines.update(found)
    return PlannedAhead(ahead.described, ahead.now, outlines)


def _merged(parts: Sequence[CompiledPart]) -> dict[str, Shard]:
    """Return all shards in the order of groups; a group that several parts have is joined."""
    found: dict[str, list[Shard]] = {}
    for part in parts:
        for group, each in part.shards.items():
            found.setdefault(group, []).append(each)
    return {group: _joined(group, found[group]) for group in sorted(found)}


def _joined(group: str, shards: Sequence[Shard]) -> Shard:
    if len(shards) == 1:
        return shards[0]
    return shard(group, (machine for each in shards for machine in each.machines()))


def _parts(files: Files) -> list[Files]:
    """Return the files in as many runs of about equal size as there are processes to use."""
    size = sum(len(data) for _, data in files)
    count = process_count(size // BYTES_WORTH_A_PROCESS)
    parts: list[list[tuple[str, bytes]]] = [[]]
    filled = 0
    for file in files:
        if filled * count >= size * len(parts) and len(parts) < count:
            parts.append([])
        parts[-1].append(file)
        filled += len(file[1])
    return list(parts)
