"""What groups, networks and a machine's own settings make together: the same for many machines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from specs.compile.address_pool import AddressPool
from specs.compile.assignments import compiled
from specs.compile.context import Surroundings
from specs.compile.effects import driver_reason
from specs.compile.inherited_settings import HANDED_DOWN, InheritedSettings
from specs.compile.power import switched
from specs.fleet import PROTECT, Assignment, CompiledNetwork, PowerDriver
from specs.machine_fields import Values
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.kinds.machine import Machine


_OWN = Values(*HANDED_DOWN)
_OF_NETWORKS = tuple(field.attribute for field in HANDED_DOWN if field.said.network_has_it)


class EffectiveSettings(NamedTuple):
    """What remains of each field once all levels have had their say.

    The same for all machines of a group that say the same of themselves: what is
    only one machine's, such as its addresses, is not in here.
    """

    inherited: InheritedSettings
    labels: dict[str, str]
    values: Mapping[str, Any]
    """Of the fields that are handed down as they are, by the attributes of CompiledMachine."""
    room: AddressPool | None
    """In the network; None where there is no such network."""
    network_is_known: bool
    """Whether there certainly is none where ``network`` is empty."""
    driver: PowerDriver
    unsupported: str
    settings: Mapping[str, str]
    assignments: tuple[Assignment, ...]

    @property
    def network(self) -> str:
        """Return the name of the network; empty for none."""
        network: str = self.values["network"]
        return network


class EffectiveSettingsCache:
    """Works out each level once."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._known: dict[tuple[object, ...], EffectiveSettings] = {}
        self._rooms: dict[str, AddressPool] = {}

    def of(self, resource: Resource, model: "Machine") -> EffectiveSettings:
        """Return what holds for a machine, and others like it."""
        spec = model.spec
        if spec.power is not None or spec.assign is not None:
            return self._level(resource, model)
        labels = tuple(model.metadata.labels.items())
        key = (spec.group, *_OWN.get(model), labels)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._level(resource, model)
        return known

    def _level(self, resource: Resource, model: "Machine") -> EffectiveSettings:
        spec = model.spec
        inherited = self._surroundings.tree.inherited(spec.group)
        values = {"network": "", PROTECT: None, **inherited.values, **_OWN.by_attribute(model)}
        network = self._surroundings.networks.get(values["network"])
        for name in _OF_NETWORKS:
            values.setdefault(name, getattr(network, name) if network else "")
        power = inherited.power if spec.power is None else switched(spec.power)
        return EffectiveSettings(
            inherited=inherited,
            labels=dict(sorted({**inherited.labels, **model.metadata.labels}.items())),
            values=values,
            room=None if network is None else self._room(network),
            network_is_known=inherited.network_is_known and spec.group in self._surroundings.groups,
            driver=power.driver,
            unsupported=driver_reason(power.driver),
            settings=power.settings,
            assignments=inherited.assignments
            if spec.assign is None
            else compiled(spec.assign, resource.document, ()),
        )

    def _room(self, network: CompiledNetwork) -> AddressPool:
        known = self._rooms.get(network.name)
        if known is None:
            known = self._rooms[network.name] = AddressPool(network)
        return known
