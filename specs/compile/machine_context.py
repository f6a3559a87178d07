"""Compiling some machines without the others.

What a machine means depends on its own document and on everything that is no machine:
groups, networks, scenarios. It never depends on another machine, except that some
values must not be used twice, which ``machine_claims`` names. So a fleet's machines can
be compiled in parts, in any order and by several processes, and a part whose documents
did not change need not be compiled again.

Everything here answers for sound documents only. Whatever is unusual is an
``InvalidPartError``: whoever asked compiles the whole fleet instead, which finds the
problem again and puts it into words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from specs.compile.assignments import check_assignments
from specs.compile.context import Surroundings
from specs.compile.inherited_settings import InheritedSettings
from specs.compile.machines import compile_machines
from specs.compile.origins import KnownSource, Sources
from specs.compile.references import REFERENCES, references_of
from specs.compile.uniqueness import claims
from specs.compile.written_selector import WrittenSelector
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.diagnostic import Diagnostic
from specs.fleet import PROTECT, CompiledMachine
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.compile.group_tree import GroupTree
    from specs.kinds.machine import Machine
    from specs.validate.registry import Registry


class InvalidPartError(Exception):
    """Something about these documents needs a look at the whole fleet."""


class ResolvedGroups(NamedTuple):
    """What each group hands to its machines, worked out."""

    inheritance: Mapping[str, InheritedSettings]

    @property
    def names(self) -> Iterable[str]:
        """Return the groups that exist, written or as parents."""
        return self.inheritance

    def inherited(self, group: str) -> InheritedSettings:
        """Return what ``group`` hands down; UnsoundPartError for an unknown group."""
        try:
            return self.inheritance[group]
        except KeyError:
            raise InvalidPartError(f"no group {group}") from None


class MachineContext(NamedTuple):
    """All that a machine's meaning depends on besides its own document."""

    surroundings: Surroundings
    groups: Mapping[str, InheritedSettings]
    """What each group hands down, which is also what ``surroundings`` say."""
    known: Mapping[str, frozenset[str]]
    """The names that exist, by kind."""

    def with_groups(self, groups: Mapping[str, InheritedSettings]) -> "MachineContext":
        """Return the same with its groups in another form."""
        surroundings = replace(self.surroundings, tree=ResolvedGroups(groups))
        return self._replace(surroundings=surroundings, groups=groups)


def machine_context(
    registry: "Registry", tree: "GroupTree", surroundings: Surroundings
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
            kind: frozenset(tree.names if kind == "Group" else registry.of_kind(kind))
            for kind in kinds
        },
    )


def _without_model(written: WrittenSelector) -> WrittenSelector:
    """Return a selector without the rest of its document, whose model is slow to load."""
    return replace(written, resource=replace(written.resource, model=None))


def _without_sources(inherited: InheritedSettings) -> InheritedSettings:
    sources: Sources = {}
    if inherited.protect:
        sources = {PROTECT: KnownSource(inherited.sources[PROTECT].origin())}
    return replace(inherited, sources=sources)


def compile_part(
    resources: Iterable[Resource], context: MachineContext
) -> tuple[dict[str, CompiledMachine], tuple[Diagnostic, ...]]:
    """Return the machines that sound definitions declare, by name, and the warnings.

    UnsoundPartError when one of them has an error, or two have one name.
    """
    diagnostics = Diagnostics()
    by_name: dict[str, Resource] = {}
    assigning: list[Resource] = []
    for resource in resources:
        if by_name.setdefault(resource.name, resource) is not resource:
            raise InvalidPartError(f"two machines are named {resource.name}")
        machine = _sound(resource)
        for kind, name in references_of(machine):
            if name not in context.known[kind]:
                raise InvalidPartError(f"{resource.position} names an unknown {kind}")
        if machine.spec.assign:
            assigning.append(resource)
    check_assignments(assigning, diagnostics)
    machines = compile_machines(by_name, context.surroundings, diagnostics)
    if diagnostics.has_errors:
        raise InvalidPartError("a machine has an error")
    return machines, diagnostics.in_order()


def machine_claims(resource: Resource) -> list[str]:
    """Return what no other machine may claim: its name and the values that must be unique.

    UnsoundPartError when its document is not sound.
    """
    return [*claims(resource, _sound(resource)), f"name {resource.name}"]


def group_of(resource: Resource) -> str:
    """Return the group of a machine; UnsoundPartError when its document is not sound."""
    return _sound(resource).spec.group


def _sound(resource: Resource) -> "Machine":
    if resource.invalid or resource.machine is None:
        raise InvalidPartError(f"{resource.position} is not sound")
    return resource.machine
