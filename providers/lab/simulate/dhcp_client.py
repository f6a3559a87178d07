"""What a PXE ROM and iPXE say in DHCP, from values to bytes. No I/O.

The fixed part and the options are written here and not by the server's codec, so that both
ends do not share a mistake. RFC 2131, RFC 4578, PXE specification 2.1, section 2.2.
"""

import struct
import uuid
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from providers.netboot.dhcp_message import DhcpMessage, MessageType
from providers.netboot.scapy_layers import DHCPOptionsField

Loader = Literal["rom", "ipxe"]

_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_MAGIC = b"c\x82Sc"
_BROADCAST = 0x8000
_LEAST = 300
_NO_ADDRESS = bytes(4)
_WANTED = [1, 3, 6, 12, 15, 43, 54, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135]
_options = DHCPOptionsField("options", b"")


@dataclass(frozen=True, slots=True)
class DhcpClient:
    """One machine's firmware: a PXE ROM on a BIOS, or the iPXE that it loaded."""

    mac: str
    uuid: str
    loader: Loader = "rom"

    def discover(self, xid: int, seconds: int = 0) -> bytes:
        """Return a DISCOVER; ``seconds`` since the first one."""
        return self._message(xid, seconds, MessageType.DISCOVER)

    def request(self, xid: int, offer: DhcpMessage, seconds: int = 0) -> bytes:
        """Return the REQUEST that takes an offer of an address."""
        more = [
            ("requested_addr", str(offer.yiaddr)),
            ("server_id", str(offer.options.server_id or offer.siaddr)),
        ]
        return self._message(xid, seconds, MessageType.REQUEST, more)

    def proxy_request(self, xid: int, address: IPv4Address) -> bytes:
        """Return the REQUEST to a boot server's port 4011, from an address of ours."""
        return self._message(xid, 0, MessageType.REQUEST, source=address)

    def _message(
        self,
        xid: int,
        seconds: int,
        kind: MessageType,
        more: list[tuple[str, str]] | None = None,
        source: IPv4Address | None = None,
    ) -> bytes:
        hardware = bytes.fromhex(self.mac.replace(":", ""))
        # Who has no address asks for answers by broadcast.
        flags = 0 if source else _BROADCAST
        own = source.packed if source else _NO_ADDRESS
        fixed = _FIXED.pack(
            *(1, 1, len(hardware), 0, xid, seconds, flags),
            *(own, _NO_ADDRESS, _NO_ADDRESS, _NO_ADDRESS),
            *(hardware, b"", b"", _MAGIC),
        )
        options = [
            ("message-type", int(kind)),
            ("max_dhcp_size", 1464),
            *(more or []),
            ("param_req_list", _WANTED),
            (97, b"\0" + uuid.UUID(self.uuid).bytes_le),
            (93, b"\0\0"),  # BIOS
            (94, b"\1\2\1"),  # UNDI 2.1
            ("vendor_class_id", b"PXEClient:Arch:00000:UNDI:002001"),
        ]
        if self.loader == "ipxe":
            options += [(77, b"iPXE"), (175, b"\x13\x01\x01\x15\x01\x01\x21\x01\x01")]
        raw: bytes = _options.i2m(None, [*options, "end"])
        return (fixed + raw).ljust(_LEAST, b"\0")


def is_answer(reply: DhcpMessage, xid: int, mac: str, *kinds: MessageType) -> bool:
    """Return whether a server's message answers what this machine asked."""
    return (reply.op, reply.xid, reply.chaddr) == (2, xid, mac) and reply.message_type in kinds
