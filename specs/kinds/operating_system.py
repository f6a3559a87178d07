"""OperatingSystem: what can be installed."""

from typing import Literal, Self

from pydantic import Field, model_validator

from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.kinds.source_file import SourceFile
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText, Line
from specs.types.web import Url

Family = Literal["debian", "ubuntu", "rhel", "fedora", "suse", "windows"]
Architecture = Literal["amd64", "arm64", "i386"]


class Media(Record):
    """What the installer starts from: exactly one of tree and iso holds the packages."""

    tree: Url | None = Field(
        default=None,
        description="A mirror that the installer fetches packages from.",
        examples=["https://deb.debian.org/debian"],
    )
    iso: SourceFile | None = Field(
        default=None, description="An installation disc that is served to the machines."
    )
    kernel: SourceFile | None = Field(
        default=None,
        description="The installer's kernel. Required with tree; with iso, the disc's own.",
    )
    initrd: SourceFile | None = Field(
        default=None,
        description="The installer's initial RAM disk. Required with tree; with iso, the disc's.",
    )

    @model_validator(mode="after")
    def _can_start(self) -> Self:
        if (self.tree is None) == (self.iso is None):
            raise InvalidValue(
                "wants exactly one of tree and iso", "the packages come from one place"
            ).as_pydantic()
        if self.tree is not None and (self.kernel is None or self.initrd is None):
            raise InvalidValue(
                "tree wants kernel and initrd",
                "a mirror has them below dists/ or images/pxeboot/; name them with their checksums",
            ).as_pydantic()
        return self


class OperatingSystemSpec(Record):
    """Which system it is and what it is installed from."""

    description: Line = Field(
        default="",
        max_length=1000,
        description="One line for people.",
        examples=["Debian 12 with the firmware packages"],
    )
    family: Family = Field(
        description="Whose installer it has and how its packages are named.", examples=["debian"]
    )
    version: HardwareText = Field(
        description="The version, in quotes where it is a number.", examples=["12"]
    )
    edition: HardwareText | None = Field(
        default=None,
        description="Which one where a version has several: a code name, or a Windows edition.",
        examples=["bookworm"],
    )
    architecture: Architecture = Field(
        default="amd64", description="The processors it runs on.", examples=["amd64"]
    )
    media: Media = Field(
        description="What the installer starts from.",
        examples=[
            {
                "iso": {
                    "url": "https://files.example.net/debian-12.iso",
                    "sha256": "9f" * 32,
                }
            }
        ],
    )


class OperatingSystem(Document):
    """A system that an Installer can put on a disk."""

    kind: Literal["OperatingSystem"]
    spec: OperatingSystemSpec
