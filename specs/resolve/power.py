"""Power: what a machine's block says beyond its driver."""

from collections.abc import Mapping
from types import MappingProxyType

from specs.kinds.power import Power
from specs.secret_reference import SecretReference

BY_HAND = Power(driver="manual")
"""Of machines for which no level says anything."""

_NO_SETTINGS: Mapping[str, str] = {}
_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "redfish": "no provider switches machines by Redfish yet",
        "ipmi": "no provider switches machines by IPMI yet",
        "webhook": "no provider switches machines by a webhook yet",
    }
)


def why_unsupported(power: Power) -> str:
    """Return why nothing here can switch such a machine yet, or nothing."""
    return _REASONS.get(power.driver, "")


def power_fields(power: Power) -> tuple[str, ...]:
    """Return the names of the fields that are set, as origins have them."""
    given = power.model_fields_set
    if len(given) == 1:
        return ("power.driver",)
    return tuple(f"power.{name}" for name in Power.model_fields if name in given)


def power_settings(power: Power) -> Mapping[str, str]:
    """Return what is set besides the driver, in the order of names."""
    if len(power.model_fields_set) == 1:
        return _NO_SETTINGS
    return {
        name: _shown(getattr(power, name))
        for name in sorted(power.model_fields_set)
        if name != "driver"
    }


def _shown(value: str | SecretReference) -> str:
    return f"!secret {value.name}" if isinstance(value, SecretReference) else value
