"""Installer: how an operating system is installed without anybody watching."""

from typing import Literal, Self

from pydantic import Field, model_validator

from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.kinds.step import DiskSelection
from specs.types.clock import TimeZone
from specs.types.invalid_value import InvalidValue
from specs.types.line import HardwareText, Line
from specs.types.name import Name
from specs.types.place import RepositoryPath
from specs.types.secret import SecretReference


class InstalledUser(Record):
    """Somebody who can log in to the installed system."""

    name: HardwareText = Field(description="The login name.", examples=["ops"])
    password: SecretReference | None = Field(
        default=None,
        description="A reference to the password's hash; no login by password where absent.",
        examples=["!secret install/ops"],
    )
    ssh_keys: tuple[Line, ...] = Field(
        default=(),
        max_length=100,
        description="Public keys that may log in.",
        examples=[["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE ops@example.net"]],
    )
    administrator: bool = Field(
        default=False, description="true: may do everything.", examples=[True]
    )


class InstallerSpec(Record):
    """The answers to the installer's questions."""

    operating_system: Name = Field(
        description="The name of an OperatingSystem document.", examples=["debian12"]
    )
    format: Literal["preseed", "kickstart", "autoinstall", "autoyast", "unattend"] = Field(
        description="The kind of answer file: preseed for Debian, autoinstall for Ubuntu, "
        "kickstart for RHEL and Fedora, autoyast for SUSE, unattend for Windows.",
        examples=["preseed"],
    )
    answers: RepositoryPath | None = Field(
        default=None,
        description="An answer file of your own beside this document; what the other fields say is "
        "added to it.",
        examples=["answers/debian12.cfg"],
    )
    transport: Literal["http", "nfs"] = Field(
        default="http", description="How the machine fetches packages.", examples=["http"]
    )
    disk: DiskSelection = Field(
        default_factory=DiskSelection, description="The disk to install on. DESTRUCTIVE."
    )
    layout: Literal["plain", "lvm"] = Field(
        default="plain",
        description="plain: one partition for everything. lvm: the same on a logical volume.",
        examples=["lvm"],
    )
    locale: HardwareText = Field(
        default="en_US.UTF-8", description="Language and encoding.", examples=["ja_JP.UTF-8"]
    )
    keyboard: HardwareText = Field(default="us", description="The keyboard.", examples=["jp"])
    time_zone: TimeZone = Field(
        default="UTC", description="The time zone of the system.", examples=["Asia/Tokyo"]
    )
    product_key: SecretReference | None = Field(
        default=None,
        description="A reference to the product key, for Windows.",
        examples=["!secret windows/key"],
    )
    users: tuple[InstalledUser, ...] = Field(
        default=(), max_length=100, description="Who can log in.", examples=[[{"name": "ops"}]]
    )
    packages: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=1000,
        description="Packages of the distribution that are added.",
        examples=[["openssh-server"]],
    )
    kernel_arguments: tuple[HardwareText, ...] = Field(
        default=(),
        max_length=100,
        description="What the installed kernel is started with.",
        examples=[["console=ttyS0"]],
    )
    commands: tuple[Line, ...] = Field(
        default=(),
        max_length=100,
        description="Commands that run in the installed system before its first start.",
        examples=[["systemctl enable ssh"]],
    )
    agent: bool = Field(
        default=True,
        description="true: the agent is installed, which proves that the installation worked.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _names_users_once(self) -> Self:
        names = [user.name for user in self.users]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise InvalidValue(
                    f"the user {name} is listed twice", "keep one of the two", field="users"
                ).as_pydantic()
        return self


class Installer(Document):
    """How an operating system is installed without anybody watching. DESTRUCTIVE when it runs."""

    kind: Literal["Installer"]
    spec: InstallerSpec
