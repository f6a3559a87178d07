"""What groups, networks and a machine's own settings make together: the same for many machines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from specs.compiled import Assignment, CompiledNetwork, PowerDriver
from specs.definition import Definition
from specs.resolve.assignments import compiled
from specs.resolve.inherited import Inherited
from specs.resolve.power import switched, why_unsupported
from specs.resolve.room import Room
from specs.resolve.surroundings import Surroundings

if TYPE_CHECKING:
    from specs.kinds.machine import Machine


class Level(NamedTuple):
    """What remains of each field once all levels have had their say.

    The same for all machines of a group that say the same of themselves: what is
    only one machine's, such as its addresses, is not in here.
    """

    inherited: Inherited
    labels: dict[str, str]
    network: str
    room: Room | None
    """In the network; None where there is no such network."""
    network_is_known: bool
    """Whether there certainly is none where ``network`` is empty."""
    domain: str
    driver: PowerDriver
    unsupported: str
    settings: Mapping[str, str]
    protect: bool | None
    assignments: tuple[Assignment, ...]


class Levels:
    """Works out each level once."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._known: dict[tuple[object, ...], Level] = {}
        self._rooms: dict[str, Room] = {}

    def of(self, definition: Definition, model: "Machine") -> Level:
        """Return what holds for a machine, and others like it."""
        spec = model.spec
        if spec.power is not None or spec.assign is not None:
            return self._level(definition, model)
        labels = tuple(model.metadata.labels.items())
        key = (spec.group, spec.network, spec.identity.domain, spec.protect, labels)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._level(definition, model)
        return known

    def _level(self, definition: Definition, model: "Machine") -> Level:
        spec = model.spec
        inherited = self._surroundings.tree.inherited(spec.group)
        name = spec.network or inherited.network or ""
        network = self._surroundings.networks.get(name)
        domain = spec.identity.domain or inherited.domain
        power = inherited.power if spec.power is None else switched(spec.power)
        return Level(
            inherited=inherited,
            labels=dict(sorted({**inherited.labels, **model.metadata.labels}.items())),
            network=name,
            room=None if network is None else self._room(network),
            network_is_known=inherited.network_is_known and spec.group in self._surroundings.groups,
            domain=domain or (network.domain if network else ""),
            driver=power.driver,
            unsupported=why_unsupported(power),
            settings=power.settings,
            protect=inherited.protect if spec.protect is None else spec.protect,
            assignments=inherited.assignments
            if spec.assign is None
            else compiled(spec.assign, definition.document, ()),
        )

    def _room(self, network: CompiledNetwork) -> Room:
        known = self._rooms.get(network.name)
        if known is None:
            known = self._rooms[network.name] = Room(network)
        return known
