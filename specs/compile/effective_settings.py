"""What groups, networks and a machine's own settings make together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from specs.compile.address_pool import AddressPool
from specs.compile.assignments import compiled
from specs.compile.context import CompileContext
from specs.compile.inherited_settings import HANDED_DOWN, InheritedSettings
from specs.compile.power import switched
from specs.compile.unsupported import DRIVERS
from specs.fleet import PROTECT, Assignment
from specs.machine_fields import PowerDriver, Values
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.kinds.machine import Machine


_OWN = Values(*HANDED_DOWN)
_OF_NETWORKS = tuple(field.attribute for field in HANDED_DOWN if field.said.network_has_it)


class EffectiveSettings(NamedTuple):
    """What remains of each field once all levels have had their say."""

    inherited: InheritedSettings
    labels: dict[str, str]
    values: Mapping[str, Any]
    """Of the fields that are handed down as they are, by the attributes of CompiledMachine."""
    pool: AddressPool | None
    """Of the network; None where there is no such network."""
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


def effective_settings(
    resource: Resource, model: "Machine", context: CompileContext
) -> EffectiveSettings:
    """Return what holds for a machine."""
    spec = model.spec
    inherited = context.tree.inherited(spec.group)
    values = {"network": "", PROTECT: None, **inherited.values, **_OWN.by_attribute(model)}
    pool = context.pools.get(values["network"])
    for name in _OF_NETWORKS:
        values.setdefault(name, getattr(pool.network, name) if pool else "")
    power = inherited.power if spec.power is None else switched(spec.power)
    return EffectiveSettings(
        inherited=inherited,
        labels=dict(sorted({**inherited.labels, **model.metadata.labels}.items())),
        values=values,
        pool=pool,
        network_is_known=inherited.network_is_known and spec.group in context.groups,
        driver=power.driver,
        unsupported=DRIVERS.get(power.driver, ""),
        settings=power.settings,
        assignments=inherited.assignments
        if spec.assign is None
        else compiled(spec.assign, resource.document, ()),
    )
