"""Package: software that is put on machines."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import ConfigDict, Field, model_validator

from specs.diagnostics.quote import quoted
from specs.kinds.metadata import Document, ShownMetadata
from specs.kinds.operating_system import Architecture, Family
from specs.kinds.record import Record
from specs.kinds.source_file import SourceFile
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText, Line
from specs.types.name import Name
from specs.types.place import MachinePath
from specs.types.quantities import Duration, between
from specs.types.urgency import Urgency

_is_file_name = re.compile(r'(?![. -])[^/\\:*?"<>|\x00-\x1f\x7f]{1,200}(?<![. ])').fullmatch


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


Method = Literal["command", "apt", "dnf", "zypper", "deb", "rpm", "msi", "msu"]
BY_NAME: tuple[Method, ...] = ("apt", "dnf", "zypper")
"""Methods that take a package by its name from the sources that the machine itself has."""
_Status = Annotated[int, Field(ge=0, le=4_294_967_295)]


class Setup(Record):
    """How the package is installed."""

    by: Method = Field(
        default="command",
        description="command: the command below. apt, dnf and zypper: by its name, from the "
        "sources that the machine itself has. deb, rpm, msi and msu: the first of the package's "
        "files.",
        examples=["apt"],
    )
    package: HardwareText | None = Field(
        default=None,
        description="What the machine's package manager calls it; the document's name where "
        "absent.",
        examples=["nginx-core"],
    )
    command: tuple[Line, ...] = Field(
        default=(),
        max_length=100,
        description="The program, one of the package's files or of the system, and its arguments. "
        "No shell reads them.",
        examples=[["setup.exe", "/quiet"]],
    )
    arguments: tuple[Line, ...] = Field(
        default=(),
        max_length=100,
        description="More arguments for the package manager, or the properties of an MSI.",
        examples=[["INSTALLDIR=D:\\Agent"]],
    )
    success: tuple[_Status, ...] = Field(
        default=(0,),
        min_length=1,
        max_length=100,
        description="Exit codes that mean installed.",
        examples=[[0]],
    )
    reboot_needed: tuple[_Status, ...] = Field(
        default=(),
        max_length=100,
        description="Exit codes that mean installed, and a reboot finishes it. Of msi and msu they "
        "are known.",
        examples=[[3010]],
    )
    timeout: Annotated[Duration, between(Duration(60), Duration(86_400))] = Field(
        default=Duration(7200),
        description="After this long the installation has failed. Between 1m and 1d.",
        examples=["2h"],
    )
    session: Literal["service", "user"] = Field(
        default="service",
        description="service: the installer runs as the agent does. user: as the person who is "
        "logged in at the machine.",
        examples=["service"],
    )

    @model_validator(mode="after")
    def _has_a_command_or_needs_none(self) -> Self:
        if self.by == "command" and not self.command:
            raise InvalidValue(
                "there is no command that installs it",
                "add command, or say by what it is installed: apt, dnf, zypper, deb, rpm, msi, msu",
            ).as_pydantic()
        if self.by != "command" and self.command:
            raise InvalidValue(
                f"{self.by} installs it, and no command",
                "remove command; more arguments for the package manager go into arguments",
                field="command",
            ).as_pydantic()
        return self


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


class DetectedCommand(Record):
    """A command that says that the package is installed. It must change nothing."""

    command: tuple[Line, ...] = Field(
        min_length=1,
        max_length=100,
        description="The program and its arguments. No shell reads them.",
        examples=[["example-agent", "--version"]],
    )
    status: _Status = Field(
        default=0, description="The exit code that means installed.", examples=[0]
    )
    output: Line | None = Field(
        default=None, description="A text that it prints then.", examples=["example-agent 4."]
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
    command: DetectedCommand | None = Field(default=None, description="What a command says.")

    @model_validator(mode="after")
    def _is_one_sign(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise InvalidValue(
                "wants exactly one of file, registry, package and command",
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
    version: HardwareText | None = Field(
        default=None,
        description="Its version, in quotes where it is a number. Where absent, apt, dnf and "
        "zypper take the newest of the machine's sources; with all else it is needed.",
        examples=["4.2"],
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
        examples=[{"by": "apt"}],
    )
    detect: tuple[Detection, ...] = Field(
        default=(),
        max_length=100,
        description="Signs that it is installed; all must be there. They are looked for before "
        "and after, so that it is neither installed twice nor believed without proof. Where "
        "absent, the package manager's own list says so; a command and msu need signs.",
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

    @model_validator(mode="after")
    def _can_be_installed_and_seen(self) -> Self:
        by = self.setup.by
        if self.version is None and by not in BY_NAME:
            raise InvalidValue(
                "it has no version", 'add version, in quotes where it is a number: "4.2"'
            ).as_pydantic()
        if by in {"deb", "rpm", "msi", "msu"} and not self.files:
            raise InvalidValue(
                f"{by} installs the first of its files, and it has none",
                "add files, each with url and sha256",
            ).as_pydantic()
        if by in {"command", "msu"} and not self.detect:
            raise InvalidValue(
                f"nothing shows that it is installed, and {'a command' if by == 'command' else by} "
                "does not tell",
                "add detect, for example a file or the name of the software in the system's list",
            ).as_pydantic()
        names = [file_name(file.url) for file in self.files]
        for name in names:
            if not _is_file_name(name) or names.count(name) > 1:
                raise InvalidValue(
                    f"its files cannot lie in one folder as {quoted(name)}",
                    "end each url with a name of its own that a file can have on every system",
                    field="files",
                ).as_pydantic()
        return self


def file_name(url: str) -> str:
    """Return what a file of a package is called on machines: the end of its address."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


class Package(Document):
    """Software that scenarios and update policies put on machines."""

    kind: Literal["Package"]
    metadata: ShownMetadata
    spec: PackageSpec
