"""Subnet masks in dotted form."""

from ipaddress import AddressValueError, IPv4Address

_BITS = 32


def prefix_length(mask: str) -> int:
    """Return the prefix length of a mask such as 255.255.240.0; ValueError says that it is none."""
    try:
        value = int(IPv4Address(mask))
    except AddressValueError:
        value = 1
    length = value.bit_count()
    if value != (1 << _BITS) - (1 << (_BITS - length)):
        raise ValueError(f"{mask!r} is not a subnet mask")
    return length
