"""The identity that an ``applyIdentity`` step asks for, checked. Pure.

Every value ends up in a configuration file of the restored system, so nothing that
could break out of its line or its field gets past this file.
"""

import re
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)

from attrs import frozen

from agent.errors import TerminalError
from agent.wire.step import ApplyIdentity

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

# RFC 1123, 2.1: labels of letters, digits and inner hyphens; the whole at most 253.
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MAX_LINUX_HOSTNAME = 64  # HOST_NAME_MAX


@frozen
class MachineIdentity:
    """Host name and network of one machine. No ``addresses`` means DHCP."""

    hostname: str
    mac: str
    addresses: tuple[Interface, ...] = ()
    gateways: tuple[Address, ...] = ()
    """At most one of each address family."""
    nameservers: tuple[Address, ...] = ()
    domain: str = ""
    """Completes the host name, and other names are searched by it; empty for none."""

    @property
    def full_name(self) -> str:
        """Return the host name with its domain."""
        return f"{self.hostname}.{self.domain}" if self.domain else self.hostname


def checked_identity(step: ApplyIdentity) -> MachineIdentity:
    """Return the step's identity; TerminalError RW467 naming every value that is wrong."""
    problems: list[str] = []
    if not _HOSTNAME.fullmatch(step.hostname) or len(step.hostname) > _MAX_LINUX_HOSTNAME:
        problems.append(f"hostname {step.hostname!r} is not a host name of at most 64 characters")
    if step.domain and not _HOSTNAME.fullmatch(f"{step.hostname}.{step.domain}"):
        problems.append(f"domain {step.domain!r} does not complete host name {step.hostname!r}")
    mac = step.mac.lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        problems.append(f"mac {step.mac!r} is not a MAC address")
    addresses = [_interface(text, problems) for text in step.addresses]
    gateways = [_address("gateway", text, problems) for text in (step.gateway,) if text]
    nameservers = [_address("nameserver", text, problems) for text in step.nameservers]
    if problems:
        raise TerminalError(
            "RW467",
            f"the identity cannot be applied: {'; '.join(problems)}",
            "Correct the machine's document",
        )
    return MachineIdentity(
        hostname=step.hostname.lower(),
        mac=mac,
        addresses=tuple(address for address in addresses if address is not None),
        gateways=tuple(address for address in gateways if address is not None),
        nameservers=tuple(address for address in nameservers if address is not None),
        domain=step.domain.lower(),
    )


def _interface(text: str, problems: list[str]) -> Interface | None:
    try:
        interface = ip_interface(text) if "/" in text else None
    except ValueError:
        interface = None
    if interface is None:
        problems.append(f"address {text!r} is not an address with prefix length")
    return interface


def _address(name: str, text: str, problems: list[str]) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        problems.append(f"{name} {text!r} is not an IP address")
        return None
    if isinstance(address, IPv6Address) and address.scope_id:
        problems.append(f"{name} {text!r} has a zone, which only its own machine knows")
        return None
    return address
