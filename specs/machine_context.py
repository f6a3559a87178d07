"""Compiling some machines without the others.

What a machine means depends on its own document and on everything that is no machine:
groups, networks, scenarios. It never depends on another machine, except that some
values must not be used twice, which ``machine_claims`` names. So a fleet's machines can
be compiled in parts, in any order and by several processes, and a part whose documents
did not change need not be compiled again.

Everything here answers for sound documents only. Whatever is unusual is an
``UnsoundPartError``: whoever asked compiles the whole fleet instead, which finds the
problem again and puts it into words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from specs.compiled import PROTECT, CompiledMachine
from specs.definition import Definition
from specs.origins import KnownSource, Sources
from specs.problem import Problem
from specs.problems import Problems
from specs.references import REFERENCES, references_of
from specs.resolve.assignments import check_assignments
from specs.resolve.inherited import Inherited
from specs.resolve.machines import compile_machines
from specs.resolve.surroundings import Surroundings
from specs.resolve.written_selector import WrittenSelector
from specs.uniqueness import claims

if TYPE_CHECKING:
    from specs.kinds.machine import Machine
    from specs.library import Library
    from specs.resolve.group_tree import GroupTree


class UnsoundPartError(Exception):
    """Something about these documents needs a look at the whole fleet."""


class ResolvedGroups(NamedTuple):
    """What each group hands to its machines, worked out."""

    inheritance: Mapping[str, Inherited]

    @property
    def names(self) -> Iterable[str]:
        """Return the groups that exist, written or as parents."""
        return self.inheritance

    def inherited(self, group: str) -> Inherited:
        """Return what ``group`` hands down; UnsoundPartError for an unknown group."""
        try:
            return self.inheritance[group]
        except KeyError:
            raise UnsoundPartError(f"no group {group}") from None


class MachineContext(NamedTuple):
    """All that a machine's meaning depends on besides its own document."""

    surroundings: Surroundings
    groups: Mapping[str, Inherited]
    """What each group hands down, which is also what ``surroundings`` say."""
    known: Mapping[str, frozenset[str]]
    """The names that exist, by kind."""

    def with_groups(self, groups: Mapping[str, Inherited]) -> "MachineContext":
        """Return the same with its groups in another form."""
        surroundings = replace(self.surroundings, tree=ResolvedGroups(groups))
        return self._replace(surroundings=surroundings, groups=groups)


def machine_context(
    library: "Library", tree: "GroupTree", surroundings: Surroundings
) -> MachineContext:
    """Return the context that a sound fleet's documents make.

    Where values came from is left out: it costs much, and only ``explain`` asks. Plans
    say how protection is taken away, so that its place stays.
    """
    kinds = {kind for _, kind in REFERENCES["Machine"]}
    inheritance = {name: _without_sources(tree.inherited(name)) for name in tree.names}
    return MachineContext(
        surroundings=replace(
            surroundings,
            tree=ResolvedGroups(inheritance),
            targets=tuple(
                replace(each, written=_without_model(each.written)) for each in surroundings.targets
            ),
            selectors=tuple(map(_without_model, surroundings.selectors)),
        ),
        groups=inheritance,
        known={
            kind: frozenset(tree.names if kind == "Group" else library.of_kind(kind))
            for kind in kinds
        },
    )


def _without_model(written: WrittenSelector) -> WrittenSelector:
    """Return a selector without the rest of its document, whose model is slow to load."""
    return replace(written, definition=replace(written.definition, model=None))


def _without_sources(inherited: Inherited) -> Inherited:
    sources: Sources = {}
    if inherited.protect:
        sources = {PROTECT: KnownSource(inherited.sources[PROTECT].origin())}
    return replace(inherited, sources=sources)


def compile_part(
    definitions: Iterable[Definition], context: MachineContext
) -> tuple[dict[str, CompiledMachine], tuple[Problem, ...]]:
    """Return the machines that sound definitions declare, by name, and the warnings.

    UnsoundPartError when one of them has an error, or two have one name.
    """
    problems = Problems()
    by_name: dict[str, Definition] = {}
    assigning: list[Definition] = []
    for definition in definitions:
        if by_name.setdefault(definition.name, definition) is not definition:
            raise UnsoundPartError(f"two machines are named {definition.name}")
        machine = _sound(definition)
        for kind, name in references_of(machine):
            if name not in context.known[kind]:
                raise UnsoundPartError(f"{definition.position} names an unknown {kind}")
        if machine.spec.assign:
            assigning.append(definition)
    check_assignments(assigning, problems)
    machines = compile_machines(by_name, context.surroundings, problems)
    if problems.has_errors:
        raise UnsoundPartError("a machine has an error")
    return machines, problems.in_order()


def machine_claims(definition: Definition) -> list[str]:
    """Return what no other machine may claim: its name and the values that must be unique.

    UnsoundPartError when its document is not sound.
    """
    return [*claims(definition, _sound(definition)), f"name {definition.name}"]


def group_of(definition: Definition) -> str:
    """Return the group of a machine; UnsoundPartError when its document is not sound."""
    return _sound(definition).spec.group


def _sound(definition: Definition) -> "Machine":
    if definition.broken or definition.machine is None:
        raise UnsoundPartError(f"{definition.position} is not sound")
    return definition.machine
