"""IPv4 addresses, subnets and ranges as they are written."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, IPv6Interface
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.address_range import AddressRange
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_OCTET = r"(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_ADDRESS = r"\.".join([_OCTET] * 4)
_INTERFACE = _ADDRESS + r"\/([0-9]|[12][0-9]|3[0-2])"
_is_octet = re.compile(_OCTET).fullmatch
_is_address = re.compile(_ADDRESS).fullmatch
_leading_zeros = re.compile(r"(?<![0-9])0+(?=[0-9])")
_SPAN = rf"({_ADDRESS}|{_INTERFACE}|{_ADDRESS} *- *{_ADDRESS})"
_match_interface = re.compile(_INTERFACE).fullmatch
"""Reads an address three times as fast as ``ipaddress`` does; a fleet has one per machine."""


def is_host(address: IPv4Address, subnet: IPv4Network) -> bool:
    """Return whether a machine may have the address."""
    return int(address) in hosts(subnet)


def hosts(subnet: IPv4Network) -> range:
    """Return the addresses that machines may have, as numbers.

    In /31 and /32 every address is a host's (RFC 3021); else the first is the
    subnet's own and the last its broadcast.
    """
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    ends = 0 if subnet.prefixlen >= 31 else 1  # noqa: PLR2004 - RFC 3021
    return range(first + ends, last + 1 - ends)


def parse_address(text: str) -> IPv4Address:
    """Return the address; InvalidValue when ``text`` is none."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        address, _, _ = _without_zeros(text).partition("/")
        hint = f"write {address}" if _is_address(address) else "for example 10.77.0.1"
        raise _refused(text, "an IPv4 address", hint) from None


def _subnet(text: str) -> IPv4Network:
    interface = _with_prefix(text, "an IPv4 subnet", "for example 10.77.0.0/24")
    if interface.ip != interface.network.network_address:
        raise InvalidValue(
            f"{quoted(text)} is an address, not a subnet", f"write {interface.network}"
        )
    return interface.network


def _interface(text: str) -> IPv4Interface:
    return _with_prefix(text, "an IPv4 address with its prefix length", "for example 10.77.0.11/24")


def _with_prefix(text: str, noun: str, example: str) -> IPv4Interface:
    match = _match_interface(text)
    if match is None:
        raise _refused(text, noun, _prefix_hint(text) or example)
    first, second, third, fourth, prefix = map(int, match.groups())
    return IPv4Interface((first << 24 | second << 16 | third << 8 | fourth, prefix))


def _prefix_hint(text: str) -> str:
    """Return the hint to write what was probably meant, or nothing."""
    plain = _without_zeros(text)
    if _is_address(plain):
        return f"add the prefix length, for example {plain}/24"
    if _match_interface(plain):
        return f"write {plain}"
    try:
        return f"write {IPv4Interface(text).with_prefixlen}"  # a netmask in dots
    except ValueError:
        return ""


def _without_zeros(text: str) -> str:
    return _leading_zeros.sub("", text)


def _refused(text: str, noun: str, hint: str) -> InvalidValue:
    try:
        IPv6Interface(text)
    except ValueError:
        return InvalidValue(f"{quoted(text)} is not {noun}", hint)
    return InvalidValue(f"{quoted(text)} is an IPv6 address", f"only IPv4 works here; {hint}")


def _range(text: str) -> AddressRange:
    first, separator, last = (part.strip() for part in text.partition("-"))
    if not separator:
        raise InvalidValue(
            f"{quoted(text)} is not a range of addresses", "for example 10.77.0.100-10.77.0.199"
        )
    begin = parse_address(first)
    if _is_octet(last):
        hint = f"write {begin}-{first.rpartition('.')[0]}.{last}"
        raise InvalidValue(f"{quoted(text)} ends in no whole address", hint)
    found = AddressRange(begin, parse_address(last))
    if found.last < found.first:
        raise InvalidValue(
            f"{quoted(text)} ends before it begins", f"write {found.last}-{found.first}"
        )
    return found


def _span(text: str) -> AddressRange:
    if "/" in text:
        subnet = _subnet(text)
        return AddressRange(subnet.network_address, subnet.broadcast_address)
    if "-" in text:
        return _range(text)
    try:
        address = parse_address(text)
    except InvalidValue:
        raise InvalidValue(
            f"{quoted(text)} is neither an IPv4 address nor a subnet nor a range",
            "for example 10.20.7.13, 10.20.7.0/24 or 10.20.9.10-10.20.9.40",
        ) from None
    return AddressRange(address, address)


Address = Annotated[IPv4Address, read_with(parse_address), shown_as(f"^{_ADDRESS}$", "10.77.0.1")]

Subnet = Annotated[IPv4Network, read_with(_subnet), shown_as(f"^{_INTERFACE}$", "10.77.0.0/24")]

InterfaceAddress = Annotated[
    IPv4Interface, read_with(_interface), shown_as(f"^{_INTERFACE}$", "10.77.0.11/24")
]
"""An address with the prefix length of its subnet."""

Range = Annotated[
    AddressRange,
    read_with(_range),
    shown_as(f"^{_ADDRESS} *- *{_ADDRESS}$", "10.77.0.100-10.77.0.199"),
]
"""First and last address, both included."""

AddressSpan = Annotated[AddressRange, read_with(_span), shown_as(f"^{_SPAN}$", "10.20.7.0/24")]
"""One address, a subnet, or first and last; kept as first and last, both included."""
