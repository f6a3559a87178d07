"""netplan(5)."""

from agent.identity.linux.network.rendered_file import PRIVATE, Rendered, RenderedFile
from agent.identity.machine_identity import MachineIdentity

PATH = "/etc/netplan/10-rackwright.yaml"


def render(identity: MachineIdentity, renderer: str) -> Rendered:
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
    return {PATH: RenderedFile("\n".join(lines) + "\n", PRIVATE)}


def _routes(identity: MachineIdentity) -> list[str]:
    if not identity.gateways:
        return []
    lines = ["      routes:"]
    for gateway in identity.gateways:
        lines += ["        - to: default", f'          via: "{gateway}"']
    return lines
