"""MachineTable: many machines, one per row."""

from typing import Annotated, Literal

from pydantic import Field, SkipValidation

from specs.kinds.machine import Hardware
from specs.kinds.metadata import Metadata
from specs.kinds.power import Power
from specs.kinds.record import API_VERSION, Record
from specs.types.hardware_identity import HardwareIdentity
from specs.types.hardware_uuid import HardwareUuid
from specs.types.host_name import DomainName, HostName
from specs.types.ipv4 import InterfaceAddress
from specs.types.labels import Labels
from specs.types.line import HardwareText
from specs.types.mac_address import MacAddress
from specs.types.name import MachineName, Name, PathName
from specs.types.place import RepositoryPath

_FORMERLY = Hardware.model_fields["formerly"].description


class TableDefaults(Record):
    """What every row of the table has that does not say otherwise itself."""

    group: PathName | None = Field(
        default=None, description="The group of the machines.", examples=["tokyo/row2/rack07"]
    )
    network: Name | None = Field(
        default=None,
        description="The Network of the machines; the group's where absent.",
        examples=["tokyo-a"],
    )
    power: Power | None = Field(
        default=None,
        description="How the machines are switched on; the group's where absent.",
        examples=[{"driver": "wake-on-lan"}],
    )
    domain: DomainName | None = Field(
        default=None,
        description="The DNS domain of the machines; the group's where absent.",
        examples=["tokyo.example.net"],
    )
    protect: bool | None = Field(
        default=None,
        description="true: none of the machines is ever overwritten, until false is written.",
        examples=[True],
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Labels of the machines, key by key.",
        examples=[{"role": "compute"}],
    )


class MachineRow(Record):
    """One machine. Its fields are those of a Machine document, without their sections."""

    name: MachineName = Field(description="The machine's name.", examples=["node-0713"])
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
        default=None, description="The SMBIOS system serial number.", examples=["5CG8243XYZ"]
    )
    formerly: tuple[HardwareIdentity, ...] = Field(
        default=(),
        min_length=1,
        max_length=64,
        description=_FORMERLY,
        examples=[["mac:52:54:00:12:34:56"]],
    )
    hostname: HostName | None = Field(
        default=None,
        description="The host name, without domain; the machine's name where absent.",
        examples=["node-0713"],
    )
    domain: DomainName | None = Field(
        default=None, description="The DNS domain.", examples=["tokyo.example.net"]
    )
    addresses: tuple[InterfaceAddress, ...] = Field(
        default=(),
        min_length=1,
        max_length=64,
        description="Fixed addresses in its network. Absent means DHCP.",
        examples=[["10.20.7.13/24"]],
    )
    group: PathName | None = Field(
        default=None,
        description="The group that it belongs to. Required, here or in the defaults.",
        examples=["tokyo/row2/rack07"],
    )
    network: Name | None = Field(default=None, description="Its Network.", examples=["tokyo-a"])
    power: Power | None = Field(
        default=None,
        description="How it is switched on. In a CSV file, the driver's name.",
        examples=[{"driver": "wake-on-lan"}],
    )
    protect: bool | None = Field(
        default=None,
        description="true: it is never overwritten, until false is written.",
        examples=[True],
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Its labels, key by key. In a CSV file, one column label.KEY for each.",
        examples=[{"role": "compute"}],
    )


class MachineTableSpec(Record):
    """The rows, and what they have in common."""

    defaults: TableDefaults = Field(
        default_factory=TableDefaults,
        description="What every row has that does not say otherwise itself.",
        examples=[{"group": "tokyo/row2/rack07"}],
    )
    rows: tuple[Annotated[MachineRow, SkipValidation], ...] = Field(
        default=(),
        description="The machines. Each is checked as a Machine document would be.",
        examples=[[{"name": "node-0713", "macs": ["52:54:00:12:34:56"]}]],
    )
    csv: RepositoryPath | None = Field(
        default=None,
        description="A CSV file beside this one with more rows. Its first line names the columns "
        "like the fields of a row; lists are separated by spaces.",
        examples=["machines.csv"],
    )


class MachineTable(Record):
    """Many machines, one per row. Each is a machine exactly as a Machine document would be."""

    api_version: Literal["rackwright/v1alpha1"] = Field(examples=[API_VERSION])
    kind: Literal["MachineTable"]
    metadata: Metadata
    spec: MachineTableSpec
