"""Bringing a compiled fleet up to date: only what a commit touched is compiled.

Knows sound fleets only, as ``compile`` beside it. It loads what a Machine document needs,
which is little: most commits touch a few machines.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from reconciler.compiled.index import Compiled, FleetIndex, Groundwork
from reconciler.compiled.part import claims_of, define_all
from reconciler.compiled.shard import Shard, shard
from specs.compile.machine_context import InvalidPartError, compile_part, group_of
from specs.desired_state import is_desired_state
from specs.fleet import CompiledMachine
from specs.prepared import Prepared
from specs.validate.resource import Resource
from specs.yaml import Document
from specs.yaml.difference import changed_files

if TYPE_CHECKING:
    from reconciler.compiled.claims import Claims
    from specs.diagnostics.diagnostic import Diagnostic


class Update(NamedTuple):
    """What changed files mean: that the fleet stays sound, and which machines it has then."""

    gone: Mapping[str, AbstractSet[str]]
    """The names of machines that are no longer as they were, by group."""
    machines: Mapping[str, CompiledMachine]
    """Those that are new or otherwise."""
    warnings: "tuple[Diagnostic, ...]"
    """Of the whole fleet, in order."""
    claims: "Claims"
    counts: tuple[int, ...]


def update_index(
    known: FleetIndex,
    groundwork: Groundwork,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
) -> Compiled | None:
    """Return a fleet like ``known`` in which the files ``before`` became ``after``.

    None as ``compile_update``.
    """
    update = compile_update(known, groundwork, before, after)
    if update is None:
        return None
    index = replace(
        known,
        shards=_updated(known.shards, update.gone, update.machines.values()),
        warnings=update.warnings,
        ownership=update.claims.digest,
    )
    return index, groundwork._replace(claims=update.claims, counts=update.counts)


def compile_update(
    known: FleetIndex,
    groundwork: Groundwork,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
) -> Update | None:
    """Return what it means for the fleet ``known`` that the files ``before`` became ``after``.

    None where anything but machines changed, or a machine is not sound: then the
    whole fleet has to be compiled.
    """
    touched = before.keys() | after.keys()
    if any(problem.position.file in touched for problem in known.warnings):
        return None
    try:
        old_files, new_files = changed_files(_desired(before), _desired(after))
        prepared = Prepared(groundwork.prepared)
        old: list[Resource] = []
        new: list[Resource] = []
        was, _ = define_all(old_files, old, prepared)
        became, read_warnings = define_all(new_files, new, prepared)
        if list(map(_text, was)) != list(map(_text, became)):
            return None
        machines, warnings = compile_part(new, groundwork.context)
        claims = groundwork.claims.replaced(claims_of(old), claims_of(new))
    except InvalidPartError:
        return None
    if claims is None:
        return None
    gone: dict[str, set[str]] = {}
    for each in old:
        gone.setdefault(group_of(each), set()).add(each.name)
    counts = _counted(known, groundwork, gone, machines.values())
    if groundwork.context.surroundings.unmatched(counts):
        return None
    found = {*known.warnings, *read_warnings, *warnings}
    ordered = sorted(found, key=lambda problem: problem.sort_key)
    return Update(gone, machines, tuple(ordered), claims, counts)


def _counted(
    known: FleetIndex,
    groundwork: Groundwork,
    gone: Mapping[str, AbstractSet[str]],
    machines: Iterable[CompiledMachine],
) -> tuple[int, ...]:
    """Return how many machines each selector means once the update is made."""
    if not groundwork.counts:
        return ()
    left = (
        machine
        for group, names in gone.items()
        for machine in known.shards[group].machines()
        if machine.name in names
    )
    count = groundwork.context.surroundings.selector_counts
    return tuple(
        before - less + more
        for before, less, more in zip(groundwork.counts, count(left), count(machines), strict=True)
    )


def _desired(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {file: data for file, data in files.items() if is_desired_state(file)}


def _text(resource: Resource) -> tuple[str, int, str]:
    """Return a document's place and text: what positions and values within it depend on."""
    document = resource.document
    if not isinstance(document, Document):
        raise InvalidPartError(f"{resource.position} is no document of its own")
    place = document.section.position(document.first_line, 0)
    return place.file, place.line, document.section.text[document.begin : document.end]


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
