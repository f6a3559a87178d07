"""The network configuration of one machine as files. Pure."""

from agent.identity.linux.network import detect, ifupdown, netplan, network_manager, networkd
from agent.identity.linux.network.detect import NetworkStack
from agent.identity.linux.network.rendered_file import Rendered, RenderedFile
from agent.identity.machine_identity import MachineIdentity

RESOLV_CONF = "/etc/resolv.conf"


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
        return netplan.render(identity, stack.renderer)
    if stack.kind == detect.NETWORK_MANAGER:
        return network_manager.render(identity)
    if stack.kind == detect.IFUPDOWN:
        return ifupdown.render(identity)
    return networkd.render(identity)
