"""How a machine is switched on."""

from pydantic import Field, model_validator

from specs.kinds.driver import Driver, fits_its_driver
from specs.kinds.record import Record
from specs.types.host import Host
from specs.types.line import HardwareText
from specs.types.secret import SecretReference
from specs.types.web import Url


class Power(Record):
    """The way to switch a machine on. A level that sets it replaces it as a whole."""

    driver: Driver = Field(
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

    _fits_its_driver = model_validator(mode="after")(fits_its_driver)
