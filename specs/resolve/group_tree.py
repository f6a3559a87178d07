"""The tree of groups, and what each hands down.

The rules are a table in ``docs/reference/inheritance.md``: scalars, the power block
and the assign list come from the nearest level that sets them, labels are merged key
by key with the nearest winning.
"""

from collections.abc import Mapping
from dataclasses import replace

from specs.compiled import PROTECT
from specs.definition import Definition
from specs.kinds.assignment import ScenarioAssignment
from specs.kinds.fleet import Fleet
from specs.kinds.group import Group, GroupSpec
from specs.library import Library
from specs.origins import Source, assign_field, label_field
from specs.path import Path
from specs.resolve.assignments import compiled
from specs.resolve.inherited import Inherited
from specs.resolve.power import Switch, switched

_NETWORK: Path = ("spec", "network")
_DEFAULT_NETWORK: Path = ("spec", "defaults", "network")


class GroupTree:
    """All groups: those that are written and their parents.

    ``root`` is what the outermost groups start from: the defaults of the fleet.
    """

    def __init__(
        self, definitions: Mapping[str, Definition], library: Library, root: Inherited
    ) -> None:
        self._definitions = definitions
        self._library = library
        self._inherited: dict[str, Inherited] = {"": root}
        self.names = tuple(sorted(set(definitions).union(*map(_lineage, definitions))))

    def inherited(self, group: str) -> Inherited:
        """Return what the group hands to its machines; also for a group that is unknown."""
        known = self._inherited.get(group)
        if known is None:
            parent = self.inherited(group.rpartition("/")[0])
            known = self._inherited[group] = self._extended(parent, group)
        return known

    def _extended(self, parent: Inherited, group: str) -> Inherited:
        groups = (*parent.groups, group)
        sources = {name: source.below(group) for name, source in parent.sources.items()}
        own = replace(
            parent,
            groups=groups,
            sources=sources,
            assignments=tuple(
                replace(
                    assignment,
                    origin=replace(assignment.origin, path=(*assignment.origin.path, group)),
                )
                for assignment in parent.assignments
            ),
        )
        definition = self._definitions.get(group)
        if definition is None:
            certain = not self._library.may_define("Group", group)
            return replace(own, network_is_known=own.network_is_known and certain)
        if not isinstance(definition.model, Group):
            return replace(own, network=None, network_is_known=False)
        return _Level(own, definition).result(definition.model.spec)


def fleet_defaults(fleets: Mapping[str, Definition]) -> Inherited:
    """Return what the Fleet document hands to all groups."""
    for definition in fleets.values():
        if not isinstance(definition.model, Fleet):
            return Inherited(network_is_known=False)
        network = definition.model.spec.defaults.network
        if network is not None:
            source = Source(
                definition.document, _DEFAULT_NETWORK, giver="spec.defaults of the Fleet document"
            )
            return Inherited(network=network, sources={"network": source})
        if definition.is_broken_at(_DEFAULT_NETWORK):
            return Inherited(network_is_known=False)
    return Inherited()


class _Level:
    """One group's own document on top of what its parents hand down."""

    def __init__(self, parent: Inherited, definition: Definition) -> None:
        self._result = parent
        self._definition = definition
        self._along = (definition.name,)
        self._sources = dict(parent.sources)

    def result(self, spec: GroupSpec) -> Inherited:
        """Return what the group hands down."""
        self._set_network(spec.network)
        self._merge_labels(spec.labels)
        if spec.power is not None:
            self._replace_power(switched(spec.power))
        if spec.identity.domain is not None:
            self._result = replace(self._result, domain=spec.identity.domain)
            self._note("identity.domain", "identity", "domain")
        if spec.protect is not None:
            self._result = replace(self._result, protect=spec.protect)
            self._note(PROTECT, "protect")
        if spec.assign is not None:
            self._replace_assignments(spec.assign)
        return replace(self._result, sources=self._sources)

    def _note(self, field: str, *path: str | int) -> None:
        self._sources[field] = Source(self._definition.document, ("spec", *path), self._along)

    def _set_network(self, network: str | None) -> None:
        if network is not None:
            self._result = replace(self._result, network=network, network_is_known=True)
            self._note("network", "network")
        elif self._definition.is_broken_at(_NETWORK):
            self._result = replace(self._result, network=None, network_is_known=False)

    def _merge_labels(self, labels: Mapping[str, str]) -> None:
        if labels:
            self._result = replace(self._result, labels={**self._result.labels, **labels})
        for key in labels:
            self._note(label_field(key), "labels", key)

    def _replace_power(self, power: Switch) -> None:
        for name in self._result.power.fields:
            self._sources.pop(name, None)
        self._result = replace(self._result, power=power)
        for name in power.fields:
            self._note(name, *name.split("."))

    def _replace_assignments(self, assign: tuple[ScenarioAssignment, ...]) -> None:
        for index in range(len(self._result.assignments)):
            del self._sources[assign_field(index)]
        for index in range(len(assign)):
            self._note(assign_field(index), "assign", index)
        assignments = compiled(assign, self._definition.document, self._along)
        self._result = replace(self._result, assignments=assignments)


def _lineage(group: str) -> list[str]:
    """Return the group's ancestors and itself."""
    parts = group.split("/")
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
