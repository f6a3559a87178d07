"""systemd.network(5)."""

from agent.identity.linux.network.rendered_file import Rendered, RenderedFile
from agent.identity.machine_identity import MachineIdentity

PATH = "/etc/systemd/network/10-rackwright.network"


def render(identity: MachineIdentity) -> Rendered:
    """Return the one file that configures the machine's interface, found by its MAC.

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
    return {PATH: RenderedFile("\n".join(lines) + "\n")}
