"""Power: what a machine's block says, without the model that read it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from specs.machine_fields import PowerDriver
from specs.types.secret import SecretReference

if TYPE_CHECKING:
    from specs.kinds.power import Power


class Switch(NamedTuple):
    """How a machine is switched on.

    ``settings`` is what is set besides the driver, in the order of names; ``fields`` are
    the names of all that is set, as origins have them.
    """

    driver: PowerDriver
    settings: Mapping[str, str]
    fields: tuple[str, ...] = ("power.driver",)


BY_HAND = Switch("manual", {})
"""Of machines for which no level says anything."""

_PLAIN = MappingProxyType({"manual": BY_HAND, "wake-on-lan": Switch("wake-on-lan", {})})
"""Those without settings, which nearly all machines of a large fleet have."""


def switched(power: "Power") -> Switch:
    """Return what a document's power block says."""
    plain = _PLAIN.get(power.driver)
    if plain is not None:
        return plain
    given = power.model_fields_set
    values = {name: value for name, value in vars(power).items() if name in given}
    return Switch(
        driver=power.driver,
        settings={name: _shown(values[name]) for name in sorted(values) if name != "driver"},
        fields=tuple(f"power.{name}" for name in values),
    )


def _shown(value: str | SecretReference) -> str:
    return f"!secret {value.name}" if isinstance(value, SecretReference) else value
