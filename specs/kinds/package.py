"""Package: software that is put on machines."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.kinds.metadata import Document, ShownMetadata
from specs.kinds.operating_system import Architecture, Family
from specs.kinds.record import Record
from specs.kinds.source_file import SourceFile
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText, Line
from specs.types.name import Name
from specs.types.place import MachinePath
from specs.types.quantities import Duration, between

Urgency = Literal["low", "normal", "high", "highest"]


class PackageTarget(Record):
    """A system that the package is for: all parts that are given must fit."""

    family: Family = Field(description="The system.", examples=["windows"])
    versions: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=100,
        description="Its versions; any where absent.",
        examples=[["11", "2025"]],
    )
    architecture: Architecture | None = Field(
        default=None, description="Its processors; any where absent.", examples=["amd64"]
    )
    language: HardwareText | None = Field(
        default=None, description="Its language; any where absent.", examples=["ja"]
    )


class Setup(Record):
    """The command that installs the package."""

    command: tuple[Line, ...] = Field(
        min_length=1,
        max_length=100,
        description="The program, one of the package's files or of the system, and its arguments.",
        examples=[["msiexec", "/i", "agent.msi", "/qn"]],
    )
    success: tuple[Annotated[int, Field(ge=0, le=4_294_967_295)], ...] = Field(
        default=(0,),
        min_length=1,
        max_length=100,
        description="Exit codes that mean installed.",
        examples=[[0]],
    )
    reboot_needed: tuple[Annotated[int, Field(ge=0, le=4_294_967_295)], ...] = Field(
        default=(),
        max_length=100,
        description="Exit codes that mean installed, and a reboot finishes it.",
        examples=[[3010]],
    )
    timeout: Annotated[Duration, between(Duration(60), Duration(86_400))] = Field(
        default=Duration(7200),
        description="After this long the installation has failed. Between 1m and 1d.",
        examples=["2h"],
    )


class DetectedFile(Record):
    """A file that is there once the package is installed."""

    path: MachinePath = Field(
        description="Where it is.", examples=["C:\\Program Files\\Agent\\agent.exe"]
    )
    version: HardwareText | None = Field(
        default=None, description="Its version or a higher one.", examples=["4.2"]
    )


class DetectedRegistryValue(Record):
    """A value of the Windows registry that is there once the package is installed."""

    key: Line = Field(
        min_length=1,
        max_length=1000,
        description="The key, with the root in short.",
        examples=["HKLM\\SOFTWARE\\Example\\Agent"],
    )
    name: Line = Field(
        default="",
        max_length=1000,
        description="The value's name; the default value where absent.",
        examples=["Version"],
    )
    value: Line | None = Field(
        default=None, description="What it must be; anything where absent.", examples=["4.2"]
    )


class DetectedPackage(Record):
    """An entry of the system's own list of what is installed."""

    name: HardwareText = Field(
        description="The name in the list: of a dpkg or RPM package, or the display name of an "
        "application.",
        examples=["example-agent"],
    )
    version: HardwareText | None = Field(
        default=None, description="Its version or a higher one.", examples=["4.2"]
    )


class Detection(Record):
    """One sign that the package is installed: exactly one of the fields."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    file: DetectedFile | None = Field(default=None, description="A file.")
    registry: DetectedRegistryValue | None = Field(
        default=None, description="A value of the Windows registry."
    )
    package: DetectedPackage | None = Field(
        default=None, description="An entry of the system's list of software."
    )

    @model_validator(mode="after")
    def _is_one_sign(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise InvalidValue(
                "wants exactly one of file, registry and package",
                "write one list item per sign",
            ).as_pydantic()
        return self


class PackageSpec(Record):
    """What it is, for which systems, how it is installed and how one sees that it is."""

    description: Line = Field(
        default="",
        max_length=1000,
        description="One line for people.",
        examples=["The lab's agent"],
    )
    type: Literal["service-pack", "hotfix", "patch", "application"] = Field(
        description="What it is. Service packs, hotfixes and patches are installed before "
        "applications.",
        examples=["application"],
    )
    version: HardwareText = Field(
        description="Its version, in quotes where it is a number.", examples=["4.2"]
    )
    urgency: Urgency = Field(
        default="normal",
        description="How soon machines want it. Update policies choose by it.",
        examples=["high"],
    )
    bulletin: HardwareText | None = Field(
        default=None, description="The advisory that it answers.", examples=["MS17-010"]
    )
    targets: tuple[PackageTarget, ...] = Field(
        min_length=1,
        max_length=100,
        description="The systems it is for; one must fit.",
        examples=[[{"family": "debian", "versions": ["12"]}]],
    )
    files: tuple[SourceFile, ...] = Field(
        default=(),
        max_length=1000,
        description="What is brought to the machine.",
        examples=[[{"url": "https://files.example.net/agent.deb", "sha256": "9f" * 32}]],
    )
    setup: Setup = Field(
        description="How it is installed.",
        examples=[{"command": ["dpkg", "--install", "agent.deb"]}],
    )
    detect: tuple[Detection, ...] = Field(
        min_length=1,
        max_length=100,
        description="Signs that it is installed; all must be there. They are looked for before "
        "and after, so that it is neither installed twice nor believed without proof.",
        examples=[[{"package": {"name": "example-agent", "version": "4.2"}}]],
    )
    requires: tuple[Name, ...] = Field(
        default=(),
        max_length=100,
        description="Packages that are installed before it.",
        examples=[["example-runtime"]],
    )
    reboot: Literal["never", "if-needed", "always"] = Field(
        default="if-needed",
        description="Whether the machine reboots afterwards; if-needed asks the exit code.",
        examples=["if-needed"],
    )
    exclusive: bool = Field(
        default=False,
        description="true: nothing else is installed between it and the reboot.",
        examples=[True],
    )


class Package(Document):
    """Software that scenarios and update policies put on machines."""

    kind: Literal["Package"]
    metadata: ShownMetadata
    spec: PackageSpec
