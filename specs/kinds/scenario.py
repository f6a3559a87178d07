"""Scenario: ordered steps that bring a machine into a state."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from specs.code import Code
from specs.kinds.metadata import PathMetadata
from specs.kinds.record import API_VERSION, Record
from specs.quantity.bounds import between
from specs.quantity.duration import Duration
from specs.quotation import quoted
from specs.rejection import Rejection
from specs.value.line import HardwareText
from specs.value.name import Name

PLANNED_DELIVERY = ("multicast",)


class ScenarioOptions(Record):
    """How the steps are run."""

    reboot: Literal["force", "graceful", "never"] = Field(
        default="graceful",
        description="What to do with a machine that is running when its turn comes: cut its "
        "power, ask its system to shut down, or wait until it is off.",
        examples=["graceful"],
    )
    after: Literal["reboot", "poweroff", "stay"] = Field(
        default="reboot",
        description="What the machine does after the last step; stay keeps the RAM system.",
        examples=["reboot"],
    )
    timeout: Annotated[Duration, between(Duration(60), Duration(7 * 86_400))] = Field(
        default=Duration(7200),
        description="After this long the run has failed. Between 1m and 1w.",
        examples=["2h"],
    )


class Delivery(Record):
    """How image data reaches the machines."""

    mode: Literal["unicast"] = Field(
        description="unicast: each machine fetches what it needs.", examples=["unicast"]
    )

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_what_is_planned(
        cls, value: object, handler: ModelWrapValidatorHandler[Self]
    ) -> Self:
        mode = value.get("mode") if isinstance(value, dict) else None
        if isinstance(mode, str) and mode in PLANNED_DELIVERY:
            raise Rejection(
                f"{quoted(mode)} is not supported yet",
                "supported is: unicast",
                Code.NOT_SUPPORTED,
                field="mode",
            ).as_pydantic()
        return handler(value)


class DiskSelection(Record):
    """Which disk a step means. Where it fits more than one, the step fails instead of guessing."""

    role: Literal["system"] = Field(
        default="system",
        description="system: the only fixed disk, or the one that the other fields name.",
        examples=["system"],
    )
    wwn: HardwareText | None = Field(
        default=None, description="Its World Wide Name.", examples=["0x5000c500a1b2c3d4"]
    )
    serial: HardwareText | None = Field(
        default=None, description="Its serial number.", examples=["S3Z8NB0K123456"]
    )
    path: HardwareText | None = Field(
        default=None,
        description="Where it is attached, as under /dev/disk/by-path.",
        examples=["pci-0000:00:04.0"],
    )


class InspectDisks(Record):
    """Look at the disks; change nothing."""


class Backup(Record):
    """Read a disk into an image; write nothing to the disk."""

    image: Name = Field(description="The name of an Image document.", examples=["debian12-golden"])
    disk: DiskSelection = Field(default_factory=DiskSelection, description="The disk to read.")


class Restore(Record):
    """Make a disk equal to an image. DESTRUCTIVE."""

    image: Name = Field(description="The name of an Image document.", examples=["debian12-golden"])
    disk: DiskSelection = Field(default_factory=DiskSelection, description="The disk to overwrite.")
    identity: Literal["apply", "keep"] = Field(
        default="apply",
        description="apply: the restored system becomes this machine. keep: it stays the "
        "machine that was captured.",
        examples=["apply"],
    )


class Step(Record):
    """One action: exactly one of the fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    inspect_disks: InspectDisks | None = Field(
        default=None, description="Look at the disks.", examples=[{}]
    )
    backup: Backup | None = Field(default=None, description="Read a disk into an image.")
    restore: Restore | None = Field(default=None, description="Write an image to a disk.")

    @property
    def action(self) -> InspectDisks | Backup | Restore:
        """Return the one action of the step."""
        for action in (self.inspect_disks, self.backup, self.restore):
            if action is not None:
                return action
        raise AssertionError("a step without action passed validation")

    @model_validator(mode="after")
    def _has_one_action(self) -> Self:
        names = [type(self).model_fields[name].alias for name in self.model_fields_set]
        if len(names) == 1:
            return self
        if not names:
            message = "the step has no action"
        else:
            message = f"one step has {len(names)} actions: {', '.join(sorted(map(str, names)))}"
        hint = "write one list item per action: inspectDisks, backup or restore"
        raise Rejection(message, hint, Code.STEP_FORM).as_pydantic()


class ScenarioSpec(Record):
    """What happens, in order."""

    options: ScenarioOptions = Field(
        default_factory=ScenarioOptions, description="How the steps are run."
    )
    delivery: Delivery | None = Field(
        default=None, description="How image data reaches the machines; unicast where absent."
    )
    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=100,
        description="The actions, in order.",
        examples=[[{"inspectDisks": {}}, {"restore": {"image": "debian12-golden"}}]],
    )


class Scenario(Record):
    """Ordered steps. It runs on the machines that it is assigned to, once per run token."""

    api_version: Literal["rackwright/v1alpha1"] = Field(examples=[API_VERSION])
    kind: Literal["Scenario"]
    metadata: PathMetadata
    spec: ScenarioSpec
