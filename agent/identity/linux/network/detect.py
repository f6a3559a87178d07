"""What configures the network of a restored system."""

from attrs import frozen

from agent.identity.linux.image_tree import ImageTree

NETPLAN = "netplan"
NETWORK_MANAGER = "NetworkManager"
NETWORKD = "systemd-networkd"
IFUPDOWN = "ifupdown"

_WANTS = "/etc/systemd/system/{}.wants/{}.service"
_PROGRAMS = ("/usr/sbin/{}", "/usr/bin/{}", "/sbin/{}")


@frozen
class NetworkStack:
    """``kind`` is one of this file's constants.

    ``renderer`` is what netplan hands its configuration to (``networkd`` or
    ``NetworkManager``), empty for the other kinds. ``enable``: networkd is installed
    but not enabled and has to be. ``writes_resolv_conf``: nothing in the system turns
    the configured name servers into ``/etc/resolv.conf``, so that file is written too.
    """

    kind: str
    renderer: str = ""
    enable: bool = False
    writes_resolv_conf: bool = False


def detect_network(tree: ImageTree) -> NetworkStack | None:
    """Return what the system uses, None where nothing known is there.

    Where several are installed, the one that is on top wins: netplan writes for the
    others, and NetworkManager takes every interface that ifupdown does not name.
    """
    manager = _enabled(tree, "NetworkManager")
    networkd = _enabled(tree, "systemd-networkd")
    plain = not _enabled(tree, "systemd-resolved") and not _installed(tree, "resolvconf")
    if _installed(tree, "netplan") and tree.list_names("/etc/netplan", "*.yaml"):
        if manager and not networkd:
            return NetworkStack(NETPLAN, renderer="NetworkManager")
        return NetworkStack(NETPLAN, renderer="networkd", writes_resolv_conf=plain)
    if manager:
        return NetworkStack(NETWORK_MANAGER)
    if networkd:
        return NetworkStack(NETWORKD, writes_resolv_conf=plain)
    if _installed(tree, "ifup") and tree.exists("/etc/network"):
        return NetworkStack(IFUPDOWN, writes_resolv_conf=plain)
    if tree.exists("/usr/lib/systemd/systemd-networkd"):
        return NetworkStack(NETWORKD, enable=True, writes_resolv_conf=plain)
    return None


def _enabled(tree: ImageTree, service: str) -> bool:
    targets = ("multi-user.target", "network-online.target", "sysinit.target")
    return any(tree.is_symlink(_WANTS.format(target, service)) for target in targets)


def _installed(tree: ImageTree, program: str) -> bool:
    return any(tree.exists(path.format(program)) for path in _PROGRAMS)
