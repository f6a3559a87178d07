"""nm-settings-keyfile(5) of NetworkManager."""

import uuid

from agent.identity.linux.network.rendered_file import PRIVATE, Rendered, RenderedFile
from agent.identity.machine_identity import MachineIdentity

PATH = "/etc/NetworkManager/system-connections/rackwright.nmconnection"
# Fixed, so that the same machine always gets the same connection.
_NAMESPACE = uuid.UUID("6f0f8c0e-3c1b-5d0a-9d6e-0a5b7c1d2e3f")


def render(identity: MachineIdentity) -> Rendered:
    """Return the connection profile, bound to the interface's permanent MAC.

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
    return {PATH: RenderedFile("\n".join(lines) + "\n", PRIVATE)}


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
