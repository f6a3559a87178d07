"""Who has which address: the lease records of our own DHCP server."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import Literal, Protocol

LeaseState = Literal["offered", "bound", "released", "declined"]


@dataclass(frozen=True, slots=True)
class Lease:
    """One address of one network and who has it until when.

    The key is the MAC, not option 61: firmware, iPXE, GRUB and the installed
    system send different client identifiers, and a machine that boots through all
    four would take four addresses and fail the check that a boot script is asked
    for by the machine it is for. ``declined`` means that a client found the address
    in use by someone else; ``mac`` is then who said so.
    """

    network: str
    address: IPv4Address
    mac: str
    state: LeaseState
    expires: datetime

    def is_active(self, now: datetime) -> bool:
        """Return whether the address is taken: promised, in use or in quarantine."""
        return self.state != "released" and now < self.expires

    def is_held(self, now: datetime) -> bool:
        """Return whether ``mac`` may be the one that uses the address."""
        return self.state in ("offered", "bound") and now < self.expires


class LeaseStore(Protocol):
    """Keeps leases beyond the end of the process, expired ones too. Used in one thread."""

    def all(self) -> Iterable[Lease]:
        """Return all records."""

    def put(self, lease: Lease) -> None:
        """Record the lease durably in place of the address's former record.

        Any other record of the same MAC and network that is not ``declined`` goes.
        """
