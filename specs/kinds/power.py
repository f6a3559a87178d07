"""How a machine is switched on: by which driver, and what each of them wants to know."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from pydantic import Field, model_validator

from specs.kinds.record import Record
from specs.machine_fields import PowerDriver
from specs.types.host_name import Host
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText
from specs.types.secret import SecretReference
from specs.types.web import Url

_REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "redfish": ("address", "username", "password"),
        "ipmi": ("address", "username", "password"),
        "webhook": ("url",),
    }
)
_OPTIONAL: Mapping[str, tuple[str, ...]] = MappingProxyType({"webhook": ("token",)})


class Power(Record):
    """The way to switch a machine on. A level that sets it replaces it as a whole."""

    driver: PowerDriver = Field(
        description="wake-on-lan: by a magic packet to the boot NIC. manual: a person does it. "
        "redfish, ipmi: by the machine's BMC. webhook: by a service of your own.",
        examples=["wake-on-lan"],
    )
    address: Host | None = Field(
        default=None,
        description="The BMC's address or name. For redfish and ipmi, which require it.",
        examples=["10.20.200.13"],
    )
    username: HardwareText | None = Field(
        default=None,
        description="The BMC's user. For redfish and ipmi, which require it.",
        examples=["rackwright"],
    )
    password: SecretReference | None = Field(
        default=None,
        description="A reference to the user's password. For redfish and ipmi, which require it.",
        examples=["!secret bmc/rack07"],
    )
    url: Url | None = Field(
        default=None,
        description="What is called with the machine's name and the wish, on or off. For webhook, "
        "which requires it.",
        examples=["https://power.example.net/hook"],
    )
    token: SecretReference | None = Field(
        default=None,
        description="A reference to the token that the webhook is called with.",
        examples=["!secret power/hook"],
    )

    @model_validator(mode="after")
    def _fits_its_driver(self) -> Self:
        given = self.model_fields_set
        if len(given) == 1 and self.driver not in _REQUIRED:
            return self
        required = _REQUIRED.get(self.driver, ())
        missing = [name for name in required if name not in given]
        if missing:
            raise InvalidValue(
                f"driver {self.driver} wants {', '.join(required)}", f"add {', '.join(missing)}"
            ).as_pydantic()
        allowed = {"driver", *required, *_OPTIONAL.get(self.driver, ())}
        for name in sorted(given - allowed):
            raise InvalidValue(
                f"means nothing to driver {self.driver}",
                "remove it, or choose the driver that it belongs to",
                field=name,
            ).as_pydantic()
        return self
