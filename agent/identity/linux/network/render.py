"""The network configuration of one machine as files, one function for each stack. Pure."""

import uuid

from attrs import frozen

from agent.identity.linux.network import detect
from agent.identity.linux.network.detect import NetworkStack
from agent.identity.machine_identity import Interface, MachineIdentity

PRIVATE = 0o600
PUBLIC = 0o644

RESOLV_CONF = "/etc/resolv.conf"
NETWORKD = "/etc/systemd/network/10-rackwright.network"
NETPLAN = "/etc/netplan/10-rackwright.yaml"
NETWORK_MANAGER = "/etc/NetworkManager/system-connections/rackwright.nmconnection"
INTERFACES = "/etc/network/interfaces"
IFUPDOWN = "/etc/network/interfaces.d/rackwright"

# Fixed, so that the same machine always gets the same connection of NetworkManager.
_NAMESPACE = uuid.UUID("6f0f8c0e-3c1b-5d0a-9d6e-0a5b7c1d2e3f")

_INTERFACES_TEXT = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback
"""

_WAIT = "/etc/systemd/system/networking.service.d/10-rackwright.conf"
# ifupdown waits for udev only when an interface is listed by name; ours is found by its
# MAC, so before its driver is loaded the list is empty.
_WAIT_TEXT = """\
[Service]
ExecStartPre=-/bin/udevadm settle --timeout=60
"""


@frozen
class RenderedFile:
    """Content and permissions of a file."""

    content: str
    mode: int = PUBLIC


Rendered = dict[str, RenderedFile]
"""By absolute path in the restored system."""


def render(stack: NetworkStack, identity: MachineIdentity) -> Rendered:
    """Return every file that gives the machine its addresses under this stack."""
    files = _configuration(stack, identity)
    # Where a DHCP client writes this file too, it does so once it knows better.
    if stack.writes_resolv_conf and identity.nameservers:
        text = f"search {identity.domain}\n" if identity.domain else ""
        text += "".join(f"nameserver {server}\n" for server in identity.nameservers)
        files[RESOLV_CONF] = RenderedFile(text)
    return files


def _configuration(stack: NetworkStack, identity: MachineIdentity) -> Rendered:
    if stack.kind == detect.NETPLAN:
        return _netplan(identity, stack.renderer)
    if stack.kind == detect.NETWORK_MANAGER:
        return _network_manager(identity)
    if stack.kind == detect.IFUPDOWN:
        return _ifupdown(identity)
    return _networkd(identity)


def _networkd(identity: MachineIdentity) -> Rendered:
    """Return systemd.network(5): the one file for the interface, found by its MAC.

    With DHCP the MAC is the client identifier, so that the address is the one that the
    MAC has a reservation for. Router advertisements stay accepted, as networkd does.
    """
    # VLANs and bridges share their parent's MAC, but are of other types.
    lines = ["[Match]", f"MACAddress={identity.mac}", "Type=ether", "", "[Network]"]
    if identity.addresses:
        lines += [f"Address={address}" for address in identity.addresses]
        lines += [f"Gateway={gateway}" for gateway in identity.gateways]
    else:
        lines += ["DHCP=yes"]
    lines += [f"DNS={server}" for server in identity.nameservers]
    lines += [f"Domains={identity.domain}"] if identity.domain else []
    if not identity.addresses:
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac"]
    return {NETWORKD: RenderedFile("\n".join(lines) + "\n")}


def _netplan(identity: MachineIdentity, renderer: str) -> Rendered:
    """Return the one YAML file; netplan warns of a file that others can read.

    ``renderer`` is ``networkd`` or ``NetworkManager``.
    """
    lines = [
        "network:",
        "  version: 2",
        f"  renderer: {renderer}",
        "  ethernets:",
        "    rackwright:",
        "      match:",
        f'        macaddress: "{identity.mac}"',
    ]
    if identity.addresses:
        lines += ["      dhcp4: false", "      addresses:"]
        lines += [f'        - "{address}"' for address in identity.addresses]
        lines += _routes(identity)
    else:
        lines += ["      dhcp4: true", "      dhcp-identifier: mac"]
    if identity.nameservers or identity.domain:
        lines += ["      nameservers:"]
    if identity.domain:
        lines += [f'        search: ["{identity.domain}"]']
    if identity.nameservers:
        lines += ["        addresses:"]
        lines += [f'          - "{server}"' for server in identity.nameservers]
    return {NETPLAN: RenderedFile("\n".join(lines) + "\n", PRIVATE)}


def _routes(identity: MachineIdentity) -> list[str]:
    if not identity.gateways:
        return []
    lines = ["      routes:"]
    for gateway in identity.gateways:
        lines += ["        - to: default", f'          via: "{gateway}"']
    return lines


def _network_manager(identity: MachineIdentity) -> Rendered:
    """Return nm-settings-keyfile(5): the profile, bound to the interface's permanent MAC.

    NetworkManager ignores a profile that others can read.
    """
    lines = [
        "[connection]",
        "id=rackwright",
        f"uuid={uuid.uuid5(_NAMESPACE, identity.mac)}",
        "type=ethernet",
        "autoconnect-priority=100",
        "",
        "[ethernet]",
        f"mac-address={identity.mac.upper()}",
        "",
        "[ipv4]",
        *_family(identity, 4),
        "",
        "[ipv6]",
        *_family(identity, 6),
    ]
    return {NETWORK_MANAGER: RenderedFile("\n".join(lines) + "\n", PRIVATE)}


def _family(identity: MachineIdentity, version: int) -> list[str]:
    addresses = [a for a in identity.addresses if a.version == version]
    gateways = [g for g in identity.gateways if g.version == version]
    servers = [s for s in identity.nameservers if s.version == version]
    lines = [f"address{number}={address}" for number, address in enumerate(addresses, 1)]
    lines += [f"gateway={gateway}" for gateway in gateways if addresses]
    lines += [f"dns={''.join(f'{server};' for server in servers)}"] if servers else []
    lines += [f"dns-search={identity.domain};"] if identity.domain else []
    if addresses:
        return [*lines, "method=manual"]
    if version == 4 and identity.addresses:  # noqa: PLR2004 - IP version
        return ["method=disabled"]  # its name servers and domains are refused
    if version == 4:  # noqa: PLR2004 - IP version
        return [*lines, "dhcp-client-id=mac", "method=auto"]
    return [*lines, "method=auto"]


def _ifupdown(identity: MachineIdentity) -> Rendered:
    """Return interfaces(5) of ifupdown: the stanzas and what they depend on.

    The interface is found by its MAC whatever its name is ("PATTERN MATCHING
    INTERFACES" of the manual page); ``rackwright`` is the logical interface.
    """
    lines = [f"auto mac/{identity.mac}=rackwright", ""]
    if identity.addresses:
        for index, address in enumerate(identity.addresses):
            lines += _static(identity, address, first=index == 0)
    else:
        lines += ["iface rackwright inet dhcp", *_nameservers(identity), ""]
    return {
        INTERFACES: RenderedFile(_INTERFACES_TEXT),
        IFUPDOWN: RenderedFile("\n".join(lines[:-1]) + "\n"),
        _WAIT: RenderedFile(_WAIT_TEXT),
    }


def _static(identity: MachineIdentity, address: Interface, *, first: bool) -> list[str]:
    family = "inet" if address.version == 4 else "inet6"  # noqa: PLR2004 - IP version
    lines = [f"iface rackwright {family} static", f"    address {address}"]
    same_family = [a for a in identity.addresses if a.version == address.version]
    if address is same_family[0]:
        gateways = [g for g in identity.gateways if g.version == address.version]
        lines += [f"    gateway {gateway}" for gateway in gateways]
    if first:
        lines += _nameservers(identity)
    return [*lines, ""]


def _nameservers(identity: MachineIdentity) -> list[str]:
    lines = []
    if identity.nameservers:
        servers = " ".join(str(server) for server in identity.nameservers)
        lines.append(f"    dns-nameservers {servers}")
    if identity.domain:
        lines.append(f"    dns-search {identity.domain}")
    return lines
