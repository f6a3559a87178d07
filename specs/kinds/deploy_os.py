"""DeployOS: the RAM system for some models of machines."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.diagnostics.codes import Code
from specs.kinds.metadata import Document
from specs.kinds.operating_system import Architecture
from specs.kinds.record import Record
from specs.kinds.source_file import SourceFile
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText
from specs.types.pattern import FreePattern


class MachineModel(Record):
    """A model of machine: all parts that are given must match."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    vendor: FreePattern | None = Field(
        default=None,
        description="Its maker as SMBIOS has it, or a pattern; case does not count.",
        examples=["NEC*"],
    )
    product: FreePattern | None = Field(
        default=None,
        description="The name of the product as SMBIOS has it, or a pattern; case does not count.",
        examples=["Express5800/R120*"],
    )

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if not self.model_fields_set:
            raise InvalidValue(
                "no model is matched", "add vendor or product", Code.EMPTY_SELECTOR
            ).as_pydantic()
        return self


class DeployOSSpec(Record):
    """What is added to the RAM system, and for which models."""

    models: tuple[MachineModel, ...] = Field(
        min_length=1,
        max_length=1000,
        description="The models that boot this variant; one must match.",
        examples=[[{"vendor": "NEC*", "product": "Express5800/R120*"}]],
    )
    order: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=1000,
        description="Variants are asked from the lowest number up, equal ones by name; the first "
        "that matches is booted, and the plain RAM system where none does.",
        examples=[100],
    )
    architecture: Architecture = Field(
        default="amd64", description="The processors it runs on.", examples=["amd64"]
    )
    packages: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=1000,
        description="Debian packages that are added, drivers and firmware among them.",
        examples=[["firmware-bnx2x"]],
    )
    drivers: tuple[SourceFile, ...] = Field(
        default=(),
        max_length=100,
        description="Driver packs: Debian packages that are no part of Debian.",
        examples=[[{"url": "https://files.example.net/raid.deb", "sha256": "9f" * 32}]],
    )
    kernel_arguments: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=100,
        description="What its kernel is started with besides what it needs.",
        examples=[["console=ttyS1,115200"]],
    )


class DeployOS(Document):
    """A variant of the RAM system for models that need more than the plain one."""

    kind: Literal["DeployOS"]
    spec: DeployOSSpec
