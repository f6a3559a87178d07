"""What a virtual rack consists of, validated."""

from ipaddress import IPv4Interface
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from specs.diagnostics.quote import quoted
from specs.kinds.record import Record
from specs.types.hardware_uuid import HardwareUuid
from specs.types.invalid_value import InvalidValue
from specs.types.ipv4 import InterfaceAddress
from specs.types.mac_address import MacAddress
from specs.types.name import MachineName
from specs.types.quantities import BitRate, ByteSize, Scale
from specs.types.text import read_with

Firmware = Literal["bios", "uefi", "uefi-secure-boot"]
DiskBus = Literal["virtio", "scsi", "nvme"]
_MIB = 1 << 20
_LEAST_MEMORY = ByteSize(128 * _MIB)
_LEAST_DISK = {"blank": ByteSize(_MIB), "debian12": ByteSize(1 << 30)}
_SERIAL_LENGTH = 20  # what virtio-blk and NVMe have room for
_SERIAL_FORM = r"^[A-Za-z0-9._-]+$"
Serial = Annotated[
    str, StringConstraints(min_length=1, max_length=_SERIAL_LENGTH, pattern=_SERIAL_FORM)
]
_LOSS_SCALE = Scale(noun="a share", example="1%", units={"‰": 1, "%": 10})
_ALL_FRAMES = 1000


def _per_mille(text: str) -> int:
    share = _LOSS_SCALE.parse(text)
    if share > _ALL_FRAMES:
        raise InvalidValue(f"{quoted(text)} is more than all of them", "write at most 100%")
    return share


LossShare = Annotated[int, read_with(_per_mille)]
"""Written in per cent, ``1.5%``; kept in thousandths, from 1 to 1000."""


class Disk(Record):
    """A disk of a machine."""

    size: ByteSize = Field(description="How large it is.", examples=["4GiB"])
    serial: Serial = Field(description="Up to 20 letters, digits and . _ -", examples=["NODE-0011"])
    prepare: Literal["blank", "debian12"] = Field(
        default="blank", description="What is on it when it is new.", examples=["debian12"]
    )
    table: Literal["gpt", "mbr"] = Field(
        default="gpt",
        description="The partition table of a prepared disk. gpt boots by BIOS and UEFI.",
        examples=["gpt"],
    )
    bus: DiskBus = Field(
        default="virtio", description="What the disk is attached to.", examples=["nvme"]
    )

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        least = _LEAST_DISK[self.prepare]
        if self.size < least:
            raise InvalidValue(
                f"a {self.prepare} disk of {self.size} is too small",
                f"write at least {least}",
                field="size",
            ).as_pydantic()
        return self


class Link(Record):
    """What is wrong with a machine's cable."""

    loss: LossShare | None = Field(
        default=None, description="Frames lost in each direction.", examples=["1%"]
    )
    rate: BitRate | None = Field(
        default=None, description="How fast frames reach the machine.", examples=["100Mbit/s"]
    )


class Machine(Record):
    """One QEMU machine."""

    name: MachineName = Field(description="What it is called.", examples=["node-01"])
    firmware: Firmware = Field(description="What boots it.", examples=["bios"])
    mac: MacAddress = Field(description="Its NIC's address.", examples=["52:54:00:77:00:11"])
    uuid: HardwareUuid = Field(
        description="Its SMBIOS system UUID.", examples=["77000000-0000-4000-8000-000000000011"]
    )
    disk: Disk = Field(
        description="The disk that it boots from.",
        examples=[{"size": "4GiB", "serial": "NODE-0011"}],
    )
    more_disks: tuple[Disk, ...] = Field(
        default=(),
        description="What it has besides, and does not boot from.",
        examples=[[{"size": "1GiB", "serial": "NODE-0011-DATA"}]],
    )
    memory: ByteSize = Field(default=ByteSize(1 << 30), description="Its RAM.", examples=["1GiB"])
    cpus: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="Its processors, 1 to 64.", examples=[2]
    )
    link: Link = Field(default=Link(), description="Its cable.", examples=[{"loss": "1%"}])

    @property
    def disks(self) -> tuple[Disk, ...]:
        """Return all its disks; it boots from the first."""
        return (self.disk, *self.more_disks)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.memory < _LEAST_MEMORY or self.memory.bytes % _MIB:
            raise InvalidValue(
                f"a machine cannot have {self.memory} of memory",
                f"write whole MiB, at least {_LEAST_MEMORY}",
                field="memory",
            ).as_pydantic()
        if self.disk.prepare == "debian12" and self.disk.table == "mbr" and self.firmware != "bios":
            raise InvalidValue(
                f"a debian12 disk with an mbr table does not boot by {self.firmware}",
                "write table: gpt, or firmware: bios",
                field="disk",
            ).as_pydantic()
        return self


class Bridge(Record):
    """The rack's network."""

    address: InterfaceAddress = Field(
        default=IPv4Interface("10.77.0.1/24"),
        description="The address of the host on it.",
        examples=["10.77.0.1/24"],
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        network = self.address.network
        if self.address.ip in (network.network_address, network.broadcast_address):
            raise InvalidValue(
                f"{self.address} is the address of the network, not of the host on it",
                f"for example {next(network.hosts())}/{network.prefixlen}",
                field="address",
            ).as_pydantic()
        return self


class Rack(Record):
    """A bridge and the machines on it."""

    bridge: Bridge = Field(
        default=Bridge(), description="The network.", examples=[{"address": "10.77.0.1/24"}]
    )
    machines: tuple[Machine, ...] = Field(min_length=1, description="One or more machines.")
