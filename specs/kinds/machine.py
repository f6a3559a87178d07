"""Machine: one computer."""

from typing import Literal

from pydantic import Field

from specs.kinds.assignment import MAX_ASSIGNMENTS, ScenarioAssignment
from specs.kinds.metadata import MachineMetadata
from specs.kinds.power import Power
from specs.kinds.record import API_VERSION, Record
from specs.types.hardware_identity import HardwareIdentity
from specs.types.hardware_uuid import HardwareUuid
from specs.types.host_name import DomainName, HostName
from specs.types.ipv4 import InterfaceAddress
from specs.types.line import HardwareText
from specs.types.mac_address import MacAddress
from specs.types.name import Name, PathName


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
        description="The SMBIOS system serial number.",
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


class MachineIdentity(Record):
    """What the installed system is called."""

    hostname: HostName | None = Field(
        default=None,
        description="The host name, without domain; the machine's name where absent.",
        examples=["node-0713"],
    )
    domain: DomainName | None = Field(
        default=None,
        description="The DNS domain; the network's where absent here and in all groups.",
        examples=["tokyo.example.net"],
    )
    addresses: tuple[InterfaceAddress, ...] = Field(
        default=(),
        min_length=1,
        max_length=64,
        description="Fixed addresses in its network. Absent means DHCP.",
        examples=[["10.20.7.13/24"]],
    )


class MachineSpec(Record):
    """One machine's settings."""

    group: PathName = Field(
        description="The group that it belongs to.", examples=["tokyo/row2/rack07"]
    )
    hardware: Hardware = Field(description="What it is recognised by.")
    identity: MachineIdentity = Field(
        default_factory=MachineIdentity, description="What its system is called."
    )
    network: Name | None = Field(
        default=None, description="Its Network; the group's where absent.", examples=["tokyo-a"]
    )
    power: Power | None = Field(
        default=None, description="How it is switched on; the group's where absent, else by hand."
    )
    assign: tuple[ScenarioAssignment, ...] | None = Field(
        default=None,
        max_length=MAX_ASSIGNMENTS,
        description="What it shall have run. Replaces what its groups assign.",
        examples=[[{"scenario": "golden-compute", "run": "2026-11"}]],
    )
    protect: bool | None = Field(
        default=None,
        description="true: it is never overwritten, until false is written.",
        examples=[True],
    )


class Machine(Record):
    """One computer, recognised by its hardware."""

    api_version: Literal["rackwright/v1alpha1"] = Field(examples=[API_VERSION])
    kind: Literal["Machine"]
    metadata: MachineMetadata
    spec: MachineSpec
