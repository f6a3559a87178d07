"""Bringing a compiled fleet up to date: only what a commit touched is compiled.

Knows sound fleets only, as ``compile`` beside it. It loads what a Machine document needs,
which is little: most commits touch a few machines.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from reconciler.fleet.index import Compiled, FleetIndex, Groundwork
from reconciler.fleet.part import Part, read
from reconciler.fleet.shard import Shard, shard
from specs.compiled import CompiledMachine
from specs.definition import Definition
from specs.machine_context import UnsoundPartError, compile_part, group_of
from specs.source import Document


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
