"""Network: a subnet and who leases its addresses."""

from typing import Annotated, Literal

from pydantic import Field

from specs.kinds.metadata import Document
from specs.kinds.record import Record
from specs.types.host_name import DomainName
from specs.types.ipv4 import Address, Range, Subnet
from specs.types.quantities import Duration, between


class Dhcp(Record):
    """How machines of the network get an address and boot data."""

    mode: Literal["server", "proxy", "off"] = Field(
        default="off",
        description="server: addresses are leased here. proxy: another server leases them, boot "
        "data is added. off: neither.",
        examples=["server"],
    )
    range: Range | None = Field(
        default=None,
        description="First and last address to lease. Required in mode server.",
        examples=["10.77.0.100-10.77.0.199"],
    )
    lease: Annotated[Duration, between(Duration(120), Duration(7 * 86_400))] = Field(
        default=Duration(3600),
        description="How long an address is leased. Between 2m and 1w.",
        examples=["1h"],
    )


class NetworkSpec(Record):
    """The settings of a network."""

    subnet: Subnet = Field(description="The addresses of the network.", examples=["10.77.0.0/24"])
    gateway: Address | None = Field(
        default=None,
        description="The router that machines are told of.",
        examples=["10.77.0.254"],
    )
    nameservers: tuple[Address, ...] = Field(
        default=(),
        description="The DNS servers that machines are told of, the first preferred.",
        examples=[["10.77.0.1"]],
    )
    domain: DomainName | None = Field(
        default=None,
        description="The DNS domain of machines whose identity names no other.",
        examples=["lab.example.net"],
    )
    dhcp: Dhcp = Field(default_factory=Dhcp, description="Leases and boot data.")


class Network(Document):
    """One IPv4 subnet. Subnets of different networks must not overlap."""

    kind: Literal["Network"]
    spec: NetworkSpec
