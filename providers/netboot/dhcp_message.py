"""A DHCP message as plain values (RFC 2131, RFC 2132). No I/O, no wire format."""

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Literal
from uuid import UUID

from specs.types.hardware_uuid import own

UNSPECIFIED = IPv4Address(0)

BROADCAST_FLAG = 0x8000
"""RFC 2131 section 2: the client cannot receive unicast before it has an address."""

_IPXE_CLASS = "iPXE"
_MACHINE_ID_LENGTH = 17
_LINK_SELECTION, _SUB_OPTION_HEADER, _ADDRESS_LENGTH = 5, 2, 4


class MessageType(IntEnum):
    """Option 53 (RFC 2132 section 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpOptions:
    """The options that network boot reads or writes; an empty value means absent.

    Texts are Latin-1, so that every byte on the wire has its character. Values
    that are only echoed or that vary by vendor stay bytes.
    """

    requested_address: IPv4Address | None = None
    server_id: IPv4Address | None = None
    vendor_class: str = ""
    """Option 60, for firmware ``PXEClient:Arch:00007:UNDI:003001``."""
    user_class: bytes = b""
    """Option 77 as it came; see ``user_classes``."""
    architectures: tuple[int, ...] = ()
    """Option 93 (RFC 4578 section 2.1), best first."""
    machine_id: bytes = b""
    """Option 97 (RFC 4578 section 2.3): a type byte, then the UUID; see ``uuid``."""
    relay_agent: bytes = b""
    """Option 82 (RFC 3046), echoed as it came."""
    subnet_selection: IPv4Address | None = None
    """Option 118 (RFC 3011), echoed: the network that addresses are wanted of."""
    client_id: bytes = b""
    """Option 61, echoed (RFC 6842) but never a key: see ``Lease``."""
    hostname: str = ""
    subnet_mask: IPv4Address | None = None
    routers: tuple[IPv4Address, ...] = ()
    nameservers: tuple[IPv4Address, ...] = ()
    domain: str = ""
    lease_seconds: int | None = None
    renewal_seconds: int | None = None
    rebinding_seconds: int | None = None
    message: str = ""
    """Option 56: why a NAK was sent."""
    vendor_options: bytes = b""
    """Option 43; for PXE the sub-options of the PXE specification 2.1, table 2-1."""
    ipxe_options: bytes = b""
    """Option 175: iPXE's own sub-options."""

    @property
    def user_classes(self) -> tuple[str, ...]:
        """Return option 77's classes.

        RFC 3004 frames each class with its length. iPXE and gPXE send the bare
        text instead, which is then the one class.
        """
        classes: list[str] = []
        rest = self.user_class
        while rest:
            length = rest[0]
            if length == 0 or length >= len(rest):
                return (self.user_class.decode("latin-1"),)
            classes.append(rest[1 : 1 + length].decode("latin-1"))
            rest = rest[1 + length :]
        return tuple(classes)

    @property
    def is_ipxe(self) -> bool:
        """Return whether iPXE sent this.

        The user class says so; option 175 says it too where a vendor built iPXE
        with another user class. Missing it would make iPXE load iPXE for ever.
        """
        return bool(self.ipxe_options) or _IPXE_CLASS in self.user_classes

    @property
    def link_selection(self) -> IPv4Address | None:
        """Return sub-option 5 of option 82 (RFC 3527): the client's network, not the relay's."""
        rest = self.relay_agent
        while len(rest) >= _SUB_OPTION_HEADER:
            code, length = rest[:_SUB_OPTION_HEADER]
            value = rest[_SUB_OPTION_HEADER : _SUB_OPTION_HEADER + length]
            if code == _LINK_SELECTION and len(value) == length == _ADDRESS_LENGTH:
                return IPv4Address(value)
            rest = rest[_SUB_OPTION_HEADER + length :]
        return None

    @property
    def uuid(self) -> str:
        """Return the SMBIOS UUID as ``dmidecode`` prints it, empty if there is none.

        The first three fields are little-endian on the wire, as in the SMBIOS
        structure (RFC 4578 section 2.3 refers to the EFI specification). One that
        many machines share is none.
        """
        if len(self.machine_id) != _MACHINE_ID_LENGTH or self.machine_id[0] != 0:
            return ""
        return own(str(UUID(bytes_le=self.machine_id[1:])))


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpMessage:
    """One message in either direction; the names are RFC 2131's (section 2, figure 1)."""

    op: Literal[1, 2]
    """1 from a client, 2 from a server."""
    message_type: MessageType
    xid: int
    chaddr: str
    """The MAC, lower case with colons."""
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = UNSPECIFIED
    yiaddr: IPv4Address = UNSPECIFIED
    siaddr: IPv4Address = UNSPECIFIED
    giaddr: IPv4Address = UNSPECIFIED
    file: str = ""
    options: DhcpOptions = field(default_factory=DhcpOptions)
