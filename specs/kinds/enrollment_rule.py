"""EnrollmentRule: where a machine belongs that is in no document yet."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.diagnostics.codes import Code
from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.types.hardware_uuid import HardwareUuid
from specs.types.invalid_value import InvalidValue
from specs.types.ipv4 import AddressSpan
from specs.types.name import Name, PathName
from specs.types.pattern import FreePattern, MacPattern

_Texts = Annotated[tuple[FreePattern, ...], Field(min_length=1, max_length=10_000)]
_Spans = Annotated[tuple[AddressSpan, ...], Field(min_length=1, max_length=1000)]


class EnrollmentMatch(Record):
    """What a discovered machine must be: all parts that are given must match."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    names: _Texts = Field(
        default=(),
        description="The name that its agent gives, in any script, or patterns; case does not "
        "count.",
        examples=[["node-07*"]],
    )
    addresses: _Spans = Field(
        default=(),
        description="Its IP address: an address, a subnet or first and last address.",
        examples=[["10.20.7.0/24", "10.20.9.10-10.20.9.40"]],
    )
    macs: tuple[MacPattern, ...] = Field(
        default=(),
        min_length=1,
        max_length=10_000,
        description="The MAC address of one of its NICs, or patterns.",
        examples=[["00:50:56:*"]],
    )
    uuids: tuple[HardwareUuid, ...] = Field(
        default=(),
        min_length=1,
        max_length=10_000,
        description="Its SMBIOS system UUID.",
        examples=[["4c4c4544-0042-3510-8052-b4c04f4e4a32"]],
    )
    serials: _Texts = Field(
        default=(),
        description="Its serial number, or patterns; case does not count.",
        examples=[["5CG8*"]],
    )
    vendors: _Texts = Field(
        default=(),
        description="Its maker as SMBIOS has it, or patterns; case does not count.",
        examples=[["Dell*", "QEMU"]],
    )
    relays: _Spans = Field(
        default=(),
        description="The DHCP relay that its request came through.",
        examples=[["10.20.7.1"]],
    )

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if not self.model_fields_set:
            raise InvalidValue(
                "nothing is matched",
                'add a part; all machines are: macs: ["*"]',
                Code.EMPTY_SELECTOR,
            ).as_pydantic()
        return self


class EnrollmentRuleSpec(Record):
    """Which machines, and what becomes of them."""

    order: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=1000,
        description="Rules are asked from the lowest number up, equal ones by name; the first "
        "that matches decides.",
        examples=[100],
    )
    match: EnrollmentMatch = Field(
        description="What the machine must be.", examples=[{"macs": ["00:50:56:*"]}]
    )
    group: PathName = Field(
        description="The group it is put into. It need not be written yet.",
        examples=["tokyo/row2/rack07"],
    )
    network: Name | None = Field(
        default=None, description="Its Network; the group's where absent.", examples=["tokyo-a"]
    )
    after_discovery: Literal["boot-local", "power-off", "hold"] = Field(
        default="boot-local",
        description="What it does once it was seen: start what is on its disk, switch off, or "
        "wait for a person at its screen. Nothing does the last two yet.",
        examples=["boot-local"],
    )


class EnrollmentRule(Document):
    """Where a discovered machine belongs. A rule proposes; a person adopts the machine."""

    kind: Literal["EnrollmentRule"]
    spec: EnrollmentRuleSpec
