"""Machine: one computer.

What a machine's fields are: their types and meaning here, in parts that groups and rows of
tables have too; what each is in other forms at ``CompiledMachine`` (``specs/fleet.py``).
"""

from typing import Literal

from pydantic import Field

from specs.kinds.metadata import Document, MachineMetadata
from specs.kinds.power import Power
from specs.kinds.record import Record
from specs.machine_fields import DriftPolicy
from specs.types.hardware_uuid import HardwareIdentity, HardwareUuid
from specs.types.host_name import DomainName, HostName
from specs.types.ipv4 import InterfaceAddress
from specs.types.line import HardwareText
from specs.types.mac_address import MacAddress
from specs.types.name import Name, PathName
from specs.types.run_token import RunToken

MAX_ASSIGNMENTS = 100


class Hardware(Record):
    """What the machine is recognised by."""

    macs: tuple[MacAddress, ...] = Field(
        min_length=1,
        max_length=64,
        description="The addresses of its network cards, the one that it boots from first.",
        examples=[["52:54:00:12:34:56"]],
    )
    uuid: HardwareUuid | None = Field(
        default=None,
        description="The SMBIOS system UUID.",
        examples=["4c4c4544-0042-3510-8052-b4c04f4e4a32"],
    )
    serial: HardwareText | None = Field(
        default=None,
        description="The SMBIOS system serial number, for people: nothing is recognised by it.",
        examples=["5CG8243XYZ"],
    )
    formerly: tuple[HardwareIdentity, ...] = Field(
        default=(),
        min_length=1,
        max_length=64,
        description="Hardware that this machine was and no longer has, after a board or a network "
        "card was replaced: it continues the history of each uuid: or mac: and the value.",
        examples=[["mac:52:54:00:12:34:56"]],
    )


class OwnIdentity(Record):
    """What only one system is called."""

    hostname: HostName | None = Field(
        default=None,
        description="The host name, without domain; the machine's name where absent.",
        examples=["node-0713"],
    )
    addresses: tuple[InterfaceAddress, ...] = Field(
        default=(),
        min_length=1,
        max_length=64,
        description="Fixed addresses in its network. Absent means DHCP.",
        examples=[["10.20.7.13/24"]],
    )


class SharedIdentity(Record):
    """What many systems are called."""

    domain: DomainName | None = Field(
        default=None,
        description="The DNS domain: the host name is completed and other names are searched by "
        "it. The nearest level that says one wins, else the network's holds.",
        examples=["tokyo.example.net"],
    )


class MachineIdentity(SharedIdentity, OwnIdentity):
    """What the installed system is called."""


class OwnSettings(Record):
    """What every machine says itself."""

    group: PathName = Field(
        description="The group that it belongs to.", examples=["tokyo/row2/rack07"]
    )
    hardware: Hardware = Field(description="What it is recognised by.")
    identity: MachineIdentity = Field(
        default_factory=MachineIdentity, description="What its system is called."
    )


class SharedSettings(Record):
    """What machines, groups and the defaults of tables may say: the nearest level wins."""

    network: Name | None = Field(
        default=None,
        description="The Network; that of the nearest level above where absent.",
        examples=["tokyo-a"],
    )
    power: Power | None = Field(
        default=None,
        description="How machines are switched on; as the nearest level above says where absent, "
        "else by hand.",
        examples=[{"driver": "wake-on-lan"}],
    )
    protect: bool | None = Field(
        default=None,
        description="true: never overwritten, until false is written.",
        examples=[True],
    )
    drift: DriftPolicy | None = Field(
        default=None,
        description="report: an installed system that is not as the repository wants it is said to "
        "be Drifted. off: it is not compared. As the nearest level above says where absent, else "
        "report. Nothing is overwritten for it.",
        examples=["off"],
    )


class ScenarioAssignment(Record):
    """One scenario and the token of its run."""

    scenario: PathName = Field(
        description="The name of a Scenario document.", examples=["golden-compute"]
    )
    run: RunToken = Field(
        description="Any word. The scenario runs once for each word: a new one means run again.",
        examples=["2026-11"],
    )


class MachineSpec(SharedSettings, OwnSettings):
    """One machine's settings."""

    assign: tuple[ScenarioAssignment, ...] | None = Field(
        default=None,
        max_length=MAX_ASSIGNMENTS,
        description="What it shall have run. Replaces what its groups assign.",
        examples=[[{"scenario": "golden-compute", "run": "2026-11"}]],
    )


class Machine(Document):
    """One computer, recognised by its hardware."""

    kind: Literal["Machine"]
    metadata: MachineMetadata
    spec: MachineSpec
