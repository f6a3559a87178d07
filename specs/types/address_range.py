"""Addresses from one to another."""

from ipaddress import IPv4Address
from typing import NamedTuple


class AddressRange(NamedTuple):
    """First and last address, both included."""

    first: IPv4Address
    last: IPv4Address

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
