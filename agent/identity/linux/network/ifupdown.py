"""interfaces(5) of Debian's ifupdown."""

from agent.identity.linux.network.rendered_file import Rendered, RenderedFile
from agent.identity.machine_identity import Interface, MachineIdentity

MAIN = "/etc/network/interfaces"
PATH = "/etc/network/interfaces.d/rackwright"
_WAIT = "/etc/systemd/system/networking.service.d/10-rackwright.conf"

_MAIN_TEXT = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback
"""

# ifupdown waits for udev only when an interface is listed by name; ours is found by its
# MAC, so before its driver is loaded the list is empty.
_WAIT_TEXT = """\
[Service]
ExecStartPre=-/bin/udevadm settle --timeout=60
"""


def render(identity: MachineIdentity) -> Rendered:
    """Return the interface's stanzas and what they depend on.

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
        MAIN: RenderedFile(_MAIN_TEXT),
        PATH: RenderedFile("\n".join(lines[:-1]) + "\n"),
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
