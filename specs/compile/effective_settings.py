"""What groups, networks and a machine's own settings make together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from specs.compile.address_pool import AddressPool
from specs.compile.assignments import compiled
from specs.compile.context import CompileContext
from specs.compile.inherited_settings import InheritedSettings
from specs.compile.power import switched, why_unsupported
from specs.fleet import Assignment, PowerDriver
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.kinds.machine import Machine


class EffectiveSettings(NamedTuple):
    """What remains of each field once all levels have had their say."""

    inherited: InheritedSettings
    labels: dict[str, str]
    network: str
    pool: AddressPool | None
    """Of the network; None where there is no such network."""
    network_is_known: bool
    """Whether there certainly is none where ``network`` is empty."""
    domain: str
    driver: PowerDriver
    unsupported: str
    settings: Mapping[str, str]
    protect: bool | None
    assignments: tuple[Assignment, ...]


def effective_settings(
    resource: Resource, model: "Machine", context: CompileContext
) -> EffectiveSettings:
    """Return what holds for a machine."""
    spec = model.spec
    inherited = context.tree.inherited(spec.group)
    name = spec.network or inherited.network or ""
    pool = context.pools.get(name)
    domain = spec.identity.domain or inherited.domain
    power = inherited.power if spec.power is None else switched(spec.power)
    return EffectiveSettings(
        inherited=inherited,
        labels=dict(sorted({**inherited.labels, **model.metadata.labels}.items())),
        network=name,
        pool=pool,
        network_is_known=inherited.network_is_known and spec.group in context.groups,
        domain=domain or (pool.network.domain if pool else ""),
        driver=power.driver,
        unsupported=why_unsupported(power),
        settings=power.settings,
        protect=inherited.protect if spec.protect is None else spec.protect,
        assignments=inherited.assignments
        if spec.assign is None
        else compiled(spec.assign, resource.document, ()),
    )
