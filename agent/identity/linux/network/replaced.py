"""Which of the image's own network files would contradict the machine's identity.

They are moved to ``/etc/rackwright/replaced``, not deleted: whoever made the image
can see there what it had.
"""

import configparser
import re

from agent.identity.linux.image_tree import ImageTree
from agent.identity.linux.network import detect
from agent.identity.linux.network.detect import NetworkStack
from agent.identity.linux.network.render import INTERFACES

ATTIC = "/etc/rackwright/replaced"

_PROFILES = "/etc/NetworkManager/system-connections"
_WIRED = ("ethernet", "802-3-ethernet")
_OWN = re.compile(r"(\d\d-)?rackwright(\..+)?")  # the rendered files; writing replaces them
# udev's own naming by MAC, from before predictable names, would give the clone's
# interface the next free name.
_OLD_NAMES = "/etc/udev/rules.d/70-persistent-net.rules"


def replaced_files(tree: ImageTree, stack: NetworkStack) -> list[str]:
    """Return the paths that have to go before the rendered files are written."""
    found = [_OLD_NAMES] if tree.is_file(_OLD_NAMES) else []
    found += _links_by_mac(tree)
    if stack.kind == detect.NETPLAN:
        return found + _names(tree, "/etc/netplan", "*.yaml")
    if stack.kind == detect.NETWORK_MANAGER:
        return found + _wired_profiles(tree) + _interface_scripts(tree)
    if stack.kind == detect.IFUPDOWN:
        main = [INTERFACES] if tree.exists(INTERFACES) else []
        return found + main + _names(tree, "/etc/network/interfaces.d", "*")
    return found + _names(tree, "/etc/systemd/network", "*.network")


def _names(tree: ImageTree, directory: str, pattern: str) -> list[str]:
    names = tree.list_names(directory, pattern)
    return [f"{directory}/{name}" for name in names if not _OWN.fullmatch(name)]


def _links_by_mac(tree: ImageTree) -> list[str]:
    """Return the systemd.link(5) files that name an interface of the golden machine."""
    paths = _names(tree, "/etc/systemd/network", "*.link")
    by_mac = re.compile(r"^\s*(Permanent)?MACAddress\s*=", re.MULTILINE)
    return [path for path in paths if by_mac.search(tree.read_text(path) or "")]


def _wired_profiles(tree: ImageTree) -> list[str]:
    paths = _names(tree, _PROFILES, "*")
    return [path for path in paths if connection_type(tree.read_text(path) or "") in _WIRED]


def connection_type(keyfile: str) -> str:
    """Return the type of a NetworkManager profile, empty where the text is none."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(keyfile)
        return parser.get("connection", "type", fallback="")
    except configparser.Error:
        return ""


def _interface_scripts(tree: ImageTree) -> list[str]:
    """Return Red Hat's older interface files, which NetworkManager reads as well."""
    paths = _names(tree, "/etc/sysconfig/network-scripts", "ifcfg-*")
    return [path for path in paths if not path.endswith("/ifcfg-lo")]
