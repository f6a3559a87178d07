"""What is changed in a restored Linux system so that it becomes this machine's.

Changing it to the same identity again is harmless.
"""

from collections.abc import Sequence

from attrs import frozen

from agent.config import AgentConfig
from agent.identity.linux.agent_bundle import Bundle, install_agent
from agent.identity.linux.image_tree import ImageTree
from agent.identity.linux.lvm_identity import devices_files
from agent.identity.linux.network.render import render
from agent.identity.linux.network.replaced import ATTIC, replaced_files
from agent.identity.linux.ssh_host_keys import HostKey, replace_host_keys
from agent.identity.linux.target_system import TargetSystem
from agent.identity.machine_identity import MachineIdentity

_CLOUD_INIT = "/etc/cloud/cloud.cfg.d/99-rackwright.cfg"
# cloud-init takes a clone for a new instance: it would set all of this once more.
_CLOUD_INIT_TEXT = """\
network: {config: disabled}
preserve_hostname: true
manage_etc_hosts: false
ssh_deletekeys: false
"""
_NETWORKD_WANTS = "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
_RESIDUE = (
    "/var/lib/systemd/random-seed",
    "/var/lib/urandom/random-seed",
    "/var/lib/random-seed",
    "/var/lib/NetworkManager/secret_key",  # stable addresses and DUIDs derive from it
)
_LEASES = (
    ("/var/lib/dhcp", "*.lease*"),
    ("/var/lib/dhclient", "*.lease*"),
    ("/var/lib/dhcpcd", "*.lease*"),
    ("/var/lib/NetworkManager", "*.lease"),
)
# An agent of the golden machine: its key would make every clone that machine.
_AGENT_STATE = "/var/lib/rackwright"
_OWN_ADDRESS = "127.0.1.1"
_FRESH_HOSTS = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
"""


@frozen
class NewIdentity:
    """All that makes the system this machine's. ``machine_id`` is 32 hexadecimal digits."""

    identity: MachineIdentity
    machine_id: str
    agent: AgentConfig
    host_keys: tuple[HostKey, ...] = ()
    """None where they could not be made: the system makes them when it starts."""


def change_tree(
    tree: ImageTree, target: TargetSystem, new: NewIdentity, bundle: Bundle
) -> tuple[str, ...]:
    """Change the mounted system; return the fingerprints of its SSH host keys.

    ImageTreeError RW464 for an odd file in it.
    """
    remove_residue(tree)
    tree.make_directory("/etc/rackwright", 0o700)
    hostname = new.identity.hostname
    tree.write("/etc/hostname", f"{hostname}\n".encode())
    hosts = own_name_set(tree.read_text("/etc/hosts") or "", new.identity.full_name)
    tree.write("/etc/hosts", hosts.encode("utf-8", "surrogateescape"))
    set_machine_id(tree, new.machine_id)
    _set_network(tree, target, new.identity)
    _set_aside(tree, devices_files(tree))
    has_keys = target.has_sshd or bool(tree.list_names("/etc/ssh", "ssh_host_*"))
    prints = replace_host_keys(tree, new.host_keys) if has_keys else ()
    if target.has_cloud_init:
        tree.write(_CLOUD_INIT, _CLOUD_INIT_TEXT.encode())
    install_agent(tree, bundle, target.python, new.agent)
    if target.selinux:
        # New files have no label until the system labels itself at its first boot.
        tree.write("/.autorelabel", b"")
    return prints


def _set_aside(tree: ImageTree, paths: Sequence[str]) -> None:
    for path in paths:
        kept = f"{ATTIC}{path}"
        if tree.exists(kept):
            tree.remove(path)  # ours, from an earlier run: what the image had is kept already
        else:
            tree.move(path, kept)


def _set_network(tree: ImageTree, target: TargetSystem, identity: MachineIdentity) -> None:
    _set_aside(tree, replaced_files(tree, target.network))
    for path, file in render(target.network, identity).items():
        tree.write(path, file.content.encode(), file.mode)
    if target.network.enable:
        tree.link(_NETWORKD_WANTS, "/usr/lib/systemd/system/systemd-networkd.service")


def remove_residue(tree: ImageTree) -> None:
    """Remove random seeds, DHCP leases and the state of an agent that ran in the image."""
    for path in _RESIDUE:
        tree.remove(path)
    for directory, pattern in _LEASES:
        for name in tree.list_names(directory, pattern):
            tree.remove(f"{directory}/{name}")
    tree.remove_tree(_AGENT_STATE)


def set_machine_id(tree: ImageTree, machine_id: str) -> None:
    """Write machine-id(5); D-Bus's copy is rewritten only where it is a file of its own."""
    content = f"{machine_id}\n".encode("ascii")
    tree.write("/etc/machine-id", content, 0o444)
    if tree.is_file("/var/lib/dbus/machine-id"):
        tree.write("/var/lib/dbus/machine-id", content, 0o444)


def own_name_set(text: str, name: str) -> str:
    """Return the file with the golden machine's name replaced by this one's.

    Debian gives the own name to 127.0.1.1 (Debian Reference, 5.1.1); all else that the
    file says stays. A name with a domain is followed by its short form.
    """
    names = f"{name} {name.partition('.')[0]}" if "." in name else name
    own = f"{_OWN_ADDRESS} {names}"
    lines = (text or _FRESH_HOSTS).splitlines()
    places = [index for index, line in enumerate(lines) if line.split()[:1] == [_OWN_ADDRESS]]
    if not places:
        local = [index for index, line in enumerate(lines) if line.split()[:1] == ["127.0.0.1"]]
        lines.insert(local[-1] + 1 if local else 0, own)
    else:
        lines[places[0]] = own
        lines = [line for index, line in enumerate(lines) if index not in places[1:]]
    return "\n".join(lines) + "\n"
