"""Addresses that a server's certificate names."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

from cryptography import x509

from reconciler.errors import TrustError

# RFC 1123, section 2.1. The last label has a letter, else it is a mistyped IP address.
_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*"
    r"(?=[0-9-]*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z"
)


def subject_names(addresses: Sequence[IPv4Address | str]) -> tuple[x509.GeneralName, ...]:
    """Return the subject alternative names of a server that is reached by ``addresses``.

    Text is an IP address where it reads as one, else a DNS name (case does not
    matter). The order of first mention is kept, repetitions are dropped.
    Raises ``TrustError`` RW504 when there is none or one is neither.
    """
    if not addresses:
        raise TrustError(
            "RW504",
            "the server has no address that its certificate could name",
            "Give the address or DNS name by which machines reach the server",
        )
    return tuple(dict.fromkeys(_subject_name(address) for address in addresses))


def _subject_name(address: IPv4Address | str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        name = str(address).lower()
    if not _DNS_NAME.match(name):
        raise TrustError(
            "RW504",
            f"{str(address)!r} is neither an IP address nor a DNS name",
            "Give the address or DNS name by which machines reach the server, without a port"
            " (international names in their xn-- form)",
        )
    return x509.DNSName(name)
