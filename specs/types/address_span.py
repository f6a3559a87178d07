"""Some IPv4 addresses: one, a subnet, or first and last."""

from ipaddress import IPv4Network
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.address_range import AddressRange
from specs.types.invalid_value import InvalidValue
from specs.types.ipv4 import ADDRESS_FORM, INTERFACE_FORM, parse_address, parse_range, parse_subnet
from specs.types.text import read_with, shown_as

_FORM = rf"({ADDRESS_FORM}|{INTERFACE_FORM}|{ADDRESS_FORM} *- *{ADDRESS_FORM})"


def _span(text: str) -> AddressRange:
    if "/" in text:
        return _of_subnet(parse_subnet(text))
    if "-" in text:
        return parse_range(text)
    try:
        address = parse_address(text)
    except InvalidValue:
        raise InvalidValue(
            f"{quoted(text)} is neither an IPv4 address nor a subnet nor a range",
            "for example 10.20.7.13, 10.20.7.0/24 or 10.20.9.10-10.20.9.40",
        ) from None
    return AddressRange(address, address)


def _of_subnet(subnet: IPv4Network) -> AddressRange:
    return AddressRange(subnet.network_address, subnet.broadcast_address)


AddressSpan = Annotated[AddressRange, read_with(_span), shown_as(f"^{_FORM}$", "10.20.7.0/24")]
"""Kept as first and last address, both included."""
