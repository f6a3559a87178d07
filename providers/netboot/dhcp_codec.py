"""DHCP messages from and to bytes. No I/O.

The options are scapy's work. The fixed part (RFC 2131 figure 1) is packed here: a scapy layer
for it costs ten times as much as everything else, and a rack that starts asks all at once.
"""

import struct
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any, Literal

from providers.netboot.dhcp_message import UNSPECIFIED, DhcpMessage, DhcpOptions, MessageType
from providers.netboot.errors import MalformedPacketError
from providers.netboot.scapy_layers import DHCPOptionsField

_FIXED_PART = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
"""op to file, then the magic cookie of the options."""
_MAGIC = b"c\x82Sc"
_NO_ADDRESS = bytes(4)
_ETHERNET = 1
_MAC_LENGTH = 6
_MINIMUM_REPLY = 300
"""RFC 1542 section 2.1: relays and old firmware drop what is shorter than BOOTP was."""
_OPTION_LIMIT = 255
_FILE_LIMIT = 128
_OP_REQUEST: Literal[1] = 1
_OP_REPLY: Literal[2] = 2

# Field of DhcpOptions -> scapy's name, or the number of an option that scapy does not name.
_ADDRESS = {
    "requested_address": "requested_addr",
    "server_id": "server_id",
    "subnet_mask": "subnet_mask",
    "subnet_selection": "subnet-selection",
}
_ADDRESSES = {"routers": "router", "nameservers": "name_server"}
_NUMBER = {
    "lease_seconds": "lease_time",
    "renewal_seconds": "renewal_time",
    "rebinding_seconds": "rebinding_time",
}
_SINGLE = _ADDRESS | _NUMBER
_TEXT = {
    "vendor_class": "vendor_class_id",
    "hostname": "hostname",
    "domain": "domain",
    "message": "error_message",
}
_BYTES: Mapping[str, str | int] = {
    "user_class": "user_class",
    "machine_id": "pxe_client_machine_identifier",
    "client_id": "client_id",
    "vendor_options": "vendor_specific",
    "ipxe_options": 175,
    "relay_agent": "relay_agent_information",
}
_ARCHITECTURES = "pxe_client_architecture"
_MESSAGE_TYPE = "message-type"
_NEEDED_NUMBERS = frozenset({50, 51, 53, 54, 55, 93})
"""Options with a fixed form whose damage makes the message unusable."""

_options_field = DHCPOptionsField("options", b"")


def decode(data: bytes) -> DhcpMessage:
    """Return the message in one UDP payload.

    Options that network boot does not use are skipped even if they are damaged:
    firmware sends many. Raises ``MalformedPacketError`` and nothing else.
    """
    if len(data) < _FIXED_PART.size:
        raise MalformedPacketError(f"{len(data)} bytes are too few")
    op, htype, hlen, hops, xid, secs, flags, *rest, magic = _FIXED_PART.unpack_from(data)
    *addresses, chaddr, _, file = rest
    if magic != _MAGIC:
        raise MalformedPacketError("the DHCP magic cookie is missing, this is plain BOOTP")
    if op not in (_OP_REQUEST, _OP_REPLY):
        raise MalformedPacketError(f"op is {op}, neither a request nor a reply")
    if htype != _ETHERNET or hlen != _MAC_LENGTH:
        raise MalformedPacketError(
            f"hardware type {htype} with {hlen} bytes of address is not Ethernet"
        )
    values = _collect(_options_field.m2i(None, data[_FIXED_PART.size :]))
    ciaddr, yiaddr, siaddr, giaddr = (
        UNSPECIFIED if raw == _NO_ADDRESS else IPv4Address(raw) for raw in addresses
    )
    return DhcpMessage(
        op=op,
        message_type=_message_type(values),
        xid=xid,
        chaddr=chaddr[:_MAC_LENGTH].hex(":"),
        hops=hops,
        secs=secs,
        flags=flags,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        siaddr=siaddr,
        giaddr=giaddr,
        file=_zero_ended(file),
        options=_typed(values),
    )


def encode(message: DhcpMessage) -> bytes:
    """Return the UDP payload, padded to the 300 bytes that BOOTP relays expect.

    Raises ``MalformedPacketError`` if ``file`` exceeds its field.
    """
    file = message.file.encode("latin-1")
    if len(file) >= _FILE_LIMIT:
        raise MalformedPacketError(
            f"file has room for {_FILE_LIMIT - 1} bytes, not for {message.file!r}"
        )
    fixed = _FIXED_PART.pack(
        message.op,
        _ETHERNET,
        _MAC_LENGTH,
        message.hops,
        message.xid,
        message.secs,
        message.flags,
        message.ciaddr.packed,
        message.yiaddr.packed,
        message.siaddr.packed,
        message.giaddr.packed,
        bytes.fromhex(message.chaddr.replace(":", "")),
        b"",
        file,
        _MAGIC,
    )
    options: bytes = _options_field.i2m(None, [*_wire_options(message), "end"])
    return (fixed + options).ljust(_MINIMUM_REPLY, b"\0")


def _zero_ended(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("latin-1")


def _collect(options: list[Any]) -> dict[str | int, list[Any]]:
    """Return each option's values; an option that comes twice is one (RFC 3396)."""
    values: dict[str | int, list[Any]] = {}
    for name, *parts in _walk(options):
        values.setdefault(name, []).extend(parts)
    return values


def _walk(options: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield scapy's (name, value, …) up to the end option.

    scapy stops at the first option whose value it cannot read and hands the rest
    over as bytes. Such an option is skipped here and reading goes on behind it.
    """
    while True:
        rest = b""
        for item in options:
            if item == "end":
                return
            if isinstance(item, tuple):
                yield item
            elif isinstance(item, bytes):
                rest = _behind_damaged(item)
        if not rest:
            return
        options = _options_field.m2i(None, rest)


def _behind_damaged(raw: bytes) -> bytes:
    header = 2
    if len(raw) < header or len(raw) < header + raw[1]:
        raise MalformedPacketError(f"option {raw[0]} is cut off")
    if raw[0] in _NEEDED_NUMBERS:
        raise MalformedPacketError(f"option {raw[0]} has a length of {raw[1]}, which is not valid")
    return raw[header + raw[1] :]


def _message_type(values: Mapping[str | int, list[Any]]) -> MessageType:
    numbers = values.get(_MESSAGE_TYPE, [])
    if len(numbers) != 1:
        raise MalformedPacketError("there is no message type (option 53)")
    try:
        return MessageType(numbers[0])
    except ValueError:
        raise MalformedPacketError(f"message type {numbers[0]} is not one of RFC 2131") from None


def _typed(values: Mapping[str | int, list[Any]]) -> DhcpOptions:
    found: dict[str, Any] = {}
    for name, wire in _ADDRESS.items():
        if wire in values:
            found[name] = IPv4Address(_single(wire, values[wire]))
    for name, wire in _NUMBER.items():
        if wire in values:
            found[name] = _single(wire, values[wire])
    for name, wire in _ADDRESSES.items():
        found[name] = tuple(IPv4Address(value) for value in values.get(wire, []))
    for name, wire in _TEXT.items():
        found[name] = b"".join(values.get(wire, [])).decode("latin-1")
    for name, number_or_name in _BYTES.items():
        found[name] = b"".join(values.get(number_or_name, []))
    found["architectures"] = _architectures(b"".join(values.get(_ARCHITECTURES, [])))
    return DhcpOptions(**found)


def _single(name: str, parts: list[Any]) -> Any:  # noqa: ANN401 (scapy's values are untyped)
    if len(parts) != 1:
        raise MalformedPacketError(f"option {name} has {len(parts)} values instead of one")
    return parts[0]


def _architectures(raw: bytes) -> tuple[int, ...]:
    if len(raw) % 2:
        raise MalformedPacketError(f"option 93 has a length of {len(raw)}, which is not valid")
    return tuple(int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2))


def _wire_options(message: DhcpMessage) -> Iterator[tuple[Any, ...]]:
    """Yield what scapy encodes; the relay's option 82 comes last (RFC 3046 section 2.1)."""
    options = message.options
    yield (_MESSAGE_TYPE, int(message.message_type))
    yield from _fixed_options(options)
    for name, wire in _TEXT.items():
        yield from _split(wire, getattr(options, name).encode("latin-1"))
    for name, number_or_name in _BYTES.items():
        yield from _split(number_or_name, getattr(options, name))


def _fixed_options(options: DhcpOptions) -> Iterator[tuple[Any, ...]]:
    for name, wire in _SINGLE.items():
        value = getattr(options, name)
        if value is not None:
            yield (wire, str(value) if isinstance(value, IPv4Address) else value)
    for name, wire in _ADDRESSES.items():
        if addresses := getattr(options, name):
            yield (wire, *(str(address) for address in addresses))
    if options.architectures:
        yield (_ARCHITECTURES, b"".join(arch.to_bytes(2) for arch in options.architectures))


def _split(wire: str | int, raw: bytes) -> Iterator[tuple[Any, ...]]:
    """Yield a long value as several options of one code (RFC 3396)."""
    for start in range(0, len(raw), _OPTION_LIMIT):
        yield (wire, raw[start : start + _OPTION_LIMIT])
