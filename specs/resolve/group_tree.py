"""The tree of groups, and what each hands down.

The rules are a table in ``docs/reference/inheritance.md``: scalars, the power block
and the assign list come from the nearest level that sets them, labels are merged key
by key with the nearest winning.
"""

from collections.abc import Mapping
from dataclasses import replace

from specs.compiled import PROTECT, Assignment
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
from specs.written import Written

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
        level = _Level(parent, group)
        definition = self._definitions.get(group)
        if definition is None:
            if self._library.may_define("Group", group):
                level.doubt_network()
        elif not isinstance(definition.model, Group):
            level.forget_network()
        else:
            level.add(definition, definition.model.spec)
        return level.result()


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
    """What one group hands down: what its parents do, with its own document on top of it."""

    def __init__(self, parent: Inherited, group: str) -> None:
        self._group = group
        self._groups = (*parent.groups, group)
        self._network, self._network_is_known = parent.network, parent.network_is_known
        self._labels, self._power = parent.labels, parent.power
        self._domain, self._protect = parent.domain, parent.protect
        self._inherited = parent.assignments
        self._own: tuple[Assignment, ...] | None = None
        self._sources = {name: source.below(group) for name, source in parent.sources.items()}

    def result(self) -> Inherited:
        """Return what the group hands down."""
        return Inherited(
            groups=self._groups,
            network=self._network,
            network_is_known=self._network_is_known,
            labels=self._labels,
            power=self._power,
            domain=self._domain,
            protect=self._protect,
            assignments=self._passed_on() if self._own is None else self._own,
            sources=self._sources,
        )

    def doubt_network(self) -> None:
        """Take into account that a document may set the network, and say nothing of it."""
        self._network_is_known = False

    def forget_network(self) -> None:
        """Take into account that a document sets the network, and nobody knows to what."""
        self._network, self._network_is_known = None, False

    def add(self, definition: Definition, spec: GroupSpec) -> None:
        """Put the group's document on top."""
        document = definition.document
        self._set_network(definition, spec.network)
        if spec.labels:
            self._labels = {**self._labels, **spec.labels}
        for key in spec.labels:
            self._note(document, label_field(key), "labels", key)
        if spec.power is not None:
            self._replace_power(document, switched(spec.power))
        if spec.identity.domain is not None:
            self._domain = spec.identity.domain
            self._note(document, "identity.domain", "identity", "domain")
        if spec.protect is not None:
            self._protect = spec.protect
            self._note(document, PROTECT, "protect")
        if spec.assign is not None:
            self._replace_assignments(document, spec.assign)

    def _note(self, document: Written, field: str, *path: str | int) -> None:
        self._sources[field] = Source(document, ("spec", *path), (self._group,))

    def _set_network(self, definition: Definition, network: str | None) -> None:
        if network is not None:
            self._network, self._network_is_known = network, True
            self._note(definition.document, "network", "network")
        elif definition.is_broken_at(_NETWORK):
            self.forget_network()

    def _replace_power(self, document: Written, power: Switch) -> None:
        for name in self._power.fields:
            self._sources.pop(name, None)
        self._power = power
        for name in power.fields:
            self._note(document, name, *name.split("."))

    def _replace_assignments(
        self, document: Written, assign: tuple[ScenarioAssignment, ...]
    ) -> None:
        for index in range(len(self._inherited)):
            del self._sources[assign_field(index)]
        for index in range(len(assign)):
            self._note(document, assign_field(index), "assign", index)
        self._own = compiled(assign, document, (self._group,))

    def _passed_on(self) -> tuple[Assignment, ...]:
        """Return the parents' assignments, inherited along one group more."""
        return tuple(
            replace(each, origin=replace(each.origin, path=(*each.origin.path, self._group)))
            for each in self._inherited
        )


def _lineage(group: str) -> list[str]:
    """Return the group's ancestors and itself."""
    parts = group.split("/")
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
