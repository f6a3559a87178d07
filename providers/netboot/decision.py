"""The one decision, what a machine boots next.

Pure. DHCP, ProxyDHCP, TFTP, HTTP and boot media all call ``decide`` and nothing
else; whatever is not a live grant for exactly this machine is the local disk.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from specs.types.hardware_uuid import both_orders

Route = Literal["dhcp", "proxy-dhcp", "tftp", "http"]


@dataclass(frozen=True, slots=True)
class BootRequest:
    """One sign of a machine that wants to boot.

    ``mac`` is lower case with colons; empty in a ``note`` about a file transfer whose
    client holds no lease of ours, so that only ``source`` is known. ``uuid`` is the
    SMBIOS UUID from DHCP option 97, empty when the firmware did not say. ``arch`` is
    DHCP option 93 (RFC 4578), None outside DHCP. ``source`` is the sender's IPv4
    address, 0.0.0.0 where it has none yet, the relay's for what one forwarded. ``detail`` is
    one line for the timeline. ``relay`` is the relay's own address (``giaddr``, RFC 2131),
    empty for a broadcast of this network, None where the request cannot tell.
    """

    route: Route
    mac: str
    uuid: str
    arch: int | None
    source: str
    detail: str
    relay: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for one machine to boot the Deploy-OS once, for one operation.

    It names the machine by ``mac`` and, where known, ``uuid``; a request that
    contradicts either does not use it.
    """

    operation: str
    attempt: int
    machine: str
    macs: tuple[str, ...]
    uuid: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class LocalDisk:
    """Boot what is installed. ``reason`` is for the timeline."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeployOS:
    """Boot the RAM system for ``grant``."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Start the boot loader and ask again in some seconds: it is not known yet what to boot.

    ``reason`` is for the timeline.
    """

    reason: str


BootAnswer = LocalDisk | DeployOS | AskAgain


def decide(request: BootRequest, grants: tuple[Grant, ...], now: datetime) -> BootAnswer:
    """Return what the machine boots; the local disk unless exactly one live grant fits.

    ``grants`` are all armed, unclaimed grants that name the request's MAC.
    """
    live = [grant for grant in grants if request.mac in grant.macs and now < grant.expires]
    if not live:
        return LocalDisk("no grant")
    if len(live) > 1:
        return LocalDisk("more than one grant names this MAC")
    grant = live[0]
    orders = both_orders(request.uuid)
    if orders and grant.uuid and grant.uuid not in orders:
        return LocalDisk(f"the MAC is granted, but UUID {request.uuid} is not {grant.uuid}")
    return DeployOS(grant)


@dataclass(frozen=True, slots=True)
class EnrollmentCredentials:
    """What a boot script carries so that the RAM system can enroll: secrets of minutes.

    ``server`` is the agents' base URL, ``pin`` the SHA-256 fingerprint of its
    certificate in hex, ``token`` single-use.
    """

    server: str
    pin: str
    token: str


class BootAuthority(Protocol):
    """What netboot needs from the control plane.

    Every method is called in the thread of the event loop that started the
    ``NetbootServer``, TFTP's requests included, so a connection bound to that
    thread serves. Calls hold up the loop: they may do quick local database work,
    no network. An exception counts as "local disk" and is logged.
    """

    def decide(self, request: BootRequest) -> BootAnswer:
        """Record the request in the boot timeline, reconcile, and decide by ``decide``."""

    def credentials(self, grant: Grant, address: str) -> EnrollmentCredentials | None:
        """Mint the token for a boot script; an earlier unused one of the grant dies.

        ``address`` is where the script goes: a second key with the token is judged by it.
        None when the grant is gone by now: the script then boots the local disk.
        """

    def note(self, request: BootRequest) -> None:
        """Record in the boot timeline what asks for no decision.

        File transfers, DHCP messages of systems that are already running, and
        refusals: ``detail`` says which.
        """
