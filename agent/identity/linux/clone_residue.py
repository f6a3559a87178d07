"""What a cloned system still carries of the golden machine, apart from names and keys."""

from agent.identity.linux.image_tree import ImageTree

_FILES = (
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


def remove_residue(tree: ImageTree) -> None:
    """Remove random seeds, DHCP leases and the state of an agent that ran in the image."""
    for path in _FILES:
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
