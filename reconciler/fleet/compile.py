"""Compiling a large fleet: several processes at once, or only what a commit touched.

Both ways know sound fleets only. Where something is unusual they say None, and the
whole fleet is compiled in the ordinary way, which puts what is wrong into words.
"""

import pickle
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from reconciler.fleet.claims import Claims
from reconciler.fleet.crew import Alone, Crew, CrewError
from reconciler.fleet.index import FleetIndex, Groundwork, PlannedAhead
from reconciler.fleet.part import CompiledPart, Files, Part, compiled, read
from reconciler.fleet.processes import process_count
from reconciler.fleet.shard import Shard, shard
from specs.compile import compile_surroundings
from specs.compiled import CompiledFleet, CompiledMachine
from specs.definition import Definition
from specs.machine_context import UnsoundPartError, compile_part, group_of
from specs.problems import Problems
from specs.source import Document
from specs.source.bulk import preload

if TYPE_CHECKING:
    from reconciler.fleet.sight import Folds, PlanAhead

WORTH_A_PROCESS = 1 << 20
"""Bytes of YAML below which starting another process costs more than it saves."""

Compiled = tuple[FleetIndex, Groundwork]


def compile_index(files: Mapping[str, bytes], ahead: "PlanAhead | None" = None) -> Compiled | None:
    """Return the fleet that sound files describe; None when they are not.

    ``ahead`` is the plan that will be asked for next: it is made on the way.
    """
    parts = _parts(sorted(files.items()))
    try:
        if len(parts) == 1:
            return _index(Alone(Part(parts[0])), 1, ahead)
        preload()
        if ahead is not None:
            import reconciler.fleet.plan_ahead  # noqa: F401, PLC0415 - before it is needed often
        with Crew(Part, parts) as crew:
            return _index(crew, len(parts), ahead)
    except (UnsoundPartError, CrewError):
        return None


def update_index(
    known: FleetIndex,
    groundwork: Groundwork,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
) -> Compiled | None:
    """Return a fleet like ``known`` in which the files ``before`` became ``after``.

    None where anything but machines changed, or a machine is not sound: then the
    whole fleet has to be compiled.
    """
    touched = before.keys() | after.keys()
    if any(problem.position.file in touched for problem in known.warnings):
        return None
    try:
        old, new = Part(sorted(before.items())), Part(sorted(after.items()))
        gone, came = read(old), read(new)
        if [_text(each) for each in gone.others] != [_text(each) for each in came.others]:
            return None
        machines, warnings = compile_part(new.machines, groundwork.context)
    except UnsoundPartError:
        return None
    claims = groundwork.claims.replaced(gone.claims, came.claims)
    if claims is None:
        return None
    gone_from: dict[str, set[str]] = {}
    for each in old.machines:
        gone_from.setdefault(group_of(each), set()).add(each.name)
    left = [
        machine
        for group, names in gone_from.items()
        for machine in known.shards[group].machines()
        if machine.name in names
    ]
    surroundings = groundwork.context.surroundings
    minus, plus = (surroundings.selector_counts(each) for each in (left, machines.values()))
    counts = tuple(
        count - less + more
        for count, less, more in zip(groundwork.counts, minus, plus, strict=True)
    )
    if surroundings.unmatched(counts):
        return None
    shards = _updated(known.shards, gone_from, machines.values())
    ordered = sorted({*known.warnings, *came.warnings, *warnings}, key=lambda each: each.sort_key)
    index = replace(known, shards=shards, warnings=tuple(ordered), ownership=claims.digest)
    return index, Groundwork(groundwork.context, claims, counts)


def _text(definition: Definition) -> tuple[str, int, str]:
    """Return a document's place and text: what positions and values within it depend on."""
    document = definition.document
    if not isinstance(document, Document):
        raise UnsoundPartError(f"{definition.position} is no document of its own")
    place = document.chunk.position(document.first_line, 0)
    return place.file, place.line, document.chunk.text[document.begin : document.end]


def _updated(
    known: Mapping[str, Shard],
    gone: Mapping[str, AbstractSet[str]],
    machines: Iterable[CompiledMachine],
) -> dict[str, Shard]:
    """Return the shards without the machines ``gone`` from each group, and with ``machines``."""
    members: dict[str, list[CompiledMachine]] = {
        group: [each for each in known[group].machines() if each.name not in names]
        for group, names in gone.items()
    }
    for machine in machines:
        group = machine.group
        if group not in members:
            members[group] = list(known[group].machines()) if group in known else []
        members[group].append(machine)
    shards = dict(known)
    for group, found in members.items():
        if found:
            shards[group] = shard(group, found)
        else:
            del shards[group]
    return {group: shards[group] for group in sorted(shards)}


def _index(crew: Crew[Part] | Alone[Part], size: int, ahead: "PlanAhead | None") -> Compiled | None:
    contents = crew.ask(read, [None] * size)
    claims = Claims.of(each for part in contents for each in part.claims)
    if claims is None:
        return None
    problems = Problems()
    others = [definition for part in contents for definition in part.others]
    surroundings, context = compile_surroundings(others, problems, "")
    parts = crew.ask(compiled, [context] * size)
    for found in contents:
        problems.extend(found.warnings)
    for part in parts:
        problems.extend(part.warnings)
    counts = tuple(map(sum, zip(*(part.selected for part in parts), strict=True)))
    if context.surroundings.unmatched(counts):
        return None
    index = FleetIndex(
        surroundings=surroundings,
        shards=_merged(parts),
        warnings=problems.in_order(),
        digest=blake2b(pickle.dumps(surroundings), digest_size=16).hexdigest(),
        ownership=claims.digest,
        planned_ahead=None if ahead is None else _planned(crew, size, surroundings, ahead),
    )
    return index, Groundwork(context, claims, counts)


def _planned(
    crew: Crew[Part] | Alone[Part], size: int, surroundings: CompiledFleet, ahead: "PlanAhead"
) -> PlannedAhead:
    from reconciler.fleet.plan_ahead import AheadOf, outlined  # noqa: PLC0415 - slow to load

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
    count = process_count(size // WORTH_A_PROCESS)
    parts: list[list[tuple[str, bytes]]] = [[]]
    filled = 0
    for file in files:
        if filled * count >= size * len(parts) and len(parts) < count:
            parts.append([])
        parts[-1].append(file)
        filled += len(file[1])
    return list(parts)
