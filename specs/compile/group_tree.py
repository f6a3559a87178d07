"""The tree of groups, and what each hands down.

The rules are a table in ``docs/reference/inheritance.md``: scalars, the power block
and the assign list come from the nearest level that sets them, labels are merged key
by key with the nearest winning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from specs.compile.assignments import compiled
from specs.compile.origins import Source, Sources, assign_field, label_field
from specs.compile.power import BY_HAND, Switch, switched
from specs.diagnostics.path import Path
from specs.fleet import MACHINE_FIELDS, Assignment
from specs.kinds.fleet import Fleet
from specs.kinds.group import Group, GroupSpec
from specs.kinds.machine import ScenarioAssignment
from specs.validate.registry import Registry
from specs.validate.resource import Resource
from specs.yaml.source_map import SourceMap

_NETWORK: Path = ("spec", "network")
_DEFAULTS: Path = ("spec", "defaults")
_DEFAULT_NETWORK: Path = (*_DEFAULTS, "network")

HANDED_DOWN = tuple(each for each in MACHINE_FIELDS if each.said.handed_down)
"""The fields that come as they are from the nearest level that says them."""


@dataclass(frozen=True, slots=True)
class InheritedSettings:
    """What a machine of a group has before it says anything itself.

    ``sources`` has a key for every field that a group set, in the words of the
    machine's document. ``network_is_known`` is False where a document that may set
    the network has a problem of its own.
    """

    groups: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """Of the fields that are handed down as they are, by the attributes of CompiledMachine."""
    network_is_known: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    power: Switch = BY_HAND
    assignments: tuple[Assignment, ...] = ()
    sources: Sources = field(default_factory=dict)

    @property
    def network(self) -> str | None:
        """Return the network that a level names."""
        network: str | None = self.values.get("network")
        return network


class GroupTree:
    """All groups: those that are written and their parents.

    ``root`` is what the outermost groups start from: the defaults of the fleet.
    """

    def __init__(
        self, resources: Mapping[str, Resource], registry: Registry, root: InheritedSettings
    ) -> None:
        self._resources = resources
        self._registry = registry
        self._inherited: dict[str, InheritedSettings] = {"": root}
        self.names = tuple(sorted(set(resources).union(*map(_ancestors, resources))))

    def display_names(self) -> dict[str, str]:
        """Return what people call the groups that have such a name."""
        return {
            name: resource.model.metadata.display_name
            for name, resource in self._resources.items()
            if isinstance(resource.model, Group) and resource.model.metadata.display_name
        }

    def inherited(self, group: str) -> InheritedSettings:
        """Return what the group hands to its machines; also for a group that is unknown."""
        known = self._inherited.get(group)
        if known is None:
            parent = self.inherited(group.rpartition("/")[0])
            known = self._inherited[group] = self._extended(parent, group)
        return known

    def _extended(self, parent: InheritedSettings, group: str) -> InheritedSettings:
        level = _Level(parent, group)
        resource = self._resources.get(group)
        if resource is None:
            if self._registry.may_define("Group", group):
                level.give_up_network()
        elif not isinstance(resource.model, Group):
            level.forget_network()
        else:
            level.add(resource, resource.model.spec)
        return level.result()


def fleet_defaults(fleets: Mapping[str, Resource]) -> InheritedSettings:
    """Return what the Fleet document hands to all groups."""
    for resource in fleets.values():
        if not isinstance(resource.model, Fleet):
            return InheritedSettings(network_is_known=False)
        said = resource.model.spec.defaults
        values = {"network": said.network, "drift": said.drift}
        values = {name: value for name, value in values.items() if value is not None}
        giver = "spec.defaults of the Fleet document"
        return InheritedSettings(
            values=values,
            network_is_known=said.network is not None
            or not resource.is_invalid_at(_DEFAULT_NETWORK),
            sources={
                name: Source(resource.document, (*_DEFAULTS, name), giver=giver) for name in values
            },
        )
    return InheritedSettings()


class _Level:
    """What one group hands down: what its parents do, with its own document on top of it."""

    def __init__(self, parent: InheritedSettings, group: str) -> None:
        self._group = group
        self._groups = (*parent.groups, group)
        self._values, self._network_is_known = {**parent.values}, parent.network_is_known
        self._labels, self._power = parent.labels, parent.power
        self._inherited = parent.assignments
        self._own: tuple[Assignment, ...] | None = None
        self._sources = {name: source.below(group) for name, source in parent.sources.items()}

    def result(self) -> InheritedSettings:
        """Return what the group hands down."""
        return InheritedSettings(
            groups=self._groups,
            values=self._values,
            network_is_known=self._network_is_known,
            labels=self._labels,
            power=self._power,
            assignments=self._passed_on() if self._own is None else self._own,
            sources=self._sources,
        )

    def give_up_network(self) -> None:
        """Take into account that a document may set the network, and say nothing of it."""
        self._network_is_known = False

    def forget_network(self) -> None:
        """Take into account that a document sets the network, and nobody knows to what."""
        self._values.pop("network", None)
        self._network_is_known = False

    def add(self, resource: Resource, spec: GroupSpec) -> None:
        """Put the group's document on top."""
        document = resource.document
        for each in HANDED_DOWN:
            value = each.of_document(resource.model)
            if value is not None:
                self._values[each.attribute] = value
                self._note(document, each.name, *each.path[1:])
        self._check_network(resource, spec.network)
        if spec.labels:
            self._labels = {**self._labels, **spec.labels}
        for key in spec.labels:
            self._note(document, label_field(key), "labels", key)
        if spec.power is not None:
            self._replace_power(document, switched(spec.power))
        if spec.assign is not None:
            self._replace_assignments(document, spec.assign)

    def _note(self, document: SourceMap, name: str, *path: str | int) -> None:
        self._sources[name] = Source(document, ("spec", *path), (self._group,))

    def _check_network(self, resource: Resource, network: str | None) -> None:
        if network is not None:
            self._network_is_known = True
        elif resource.is_invalid_at(_NETWORK):
            self.forget_network()

    def _replace_power(self, document: SourceMap, power: Switch) -> None:
        for name in self._power.fields:
            self._sources.pop(name, None)
        self._power = power
        for name in power.fields:
            self._note(document, name, *name.split("."))

    def _replace_assignments(
        self, document: SourceMap, assign: tuple[ScenarioAssignment, ...]
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


def _ancestors(group: str) -> list[str]:
    """Return the group's ancestors and itself."""
    parts = group.split("/")
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
