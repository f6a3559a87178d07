"""What a rehearsal allows can be done, and what it refuses cannot."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.errors import TerminalError
from agent.identity.linux.change import NewIdentity, change_tree
from agent.identity.linux.image_tree import ImageTree
from agent.identity.linux.network.detect import IFUPDOWN, NETPLAN, NETWORKD, NetworkStack
from agent.identity.linux.rehearsal import Rehearsal
from agent.identity.linux.ssh_host_keys import NO_KEYS
from agent.identity.linux.target_system import TargetSystem
from agent.identity.machine_identity import MachineIdentity
from tests.unit.agent_sysfs import write_tree

SYSTEM = {
    "etc/hosts": "127.0.0.1 localhost",
    "etc/machine-id": "f" * 32,
    "etc/network/interfaces": "iface eth0 inet static",
    "etc/netplan/50-golden.yaml": "network:",
    "etc/ssh/ssh_host_rsa_key": "x",
    "etc/systemd/network/05-golden.network": "[Match]",
    "usr/lib/rackwright/agent/stale.py": "",
    "usr/local/bin/tool": "",
    "var/lib/dbus/machine-id": "f" * 32,
    "var/lib/dhcp/dhclient.leases": "x",
    "var/lib/rackwright/agent.key": "x",
    "var/lib/systemd/random-seed": "x",
}
PLACES = [
    "etc",
    "etc/cloud",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/netplan",
    "etc/network",
    "etc/network/interfaces",
    "etc/rackwright",
    "etc/rackwright/agent.json",
    "etc/rackwright/replaced",
    "etc/resolv.conf",
    "etc/ssh",
    "etc/ssh/ssh_host_rsa_key",
    "etc/systemd/network/05-golden.network",
    "etc/systemd/system",
    "etc/systemd/system/multi-user.target.wants",
    "usr/lib",
    "usr/lib/rackwright",
    "usr/lib/rackwright/agent",
    "usr/local",
    "usr/local/bin/rackwright-agent",
    "var",
    "var/lib/dbus/machine-id",
    "var/lib/dhcp",
    "var/lib/rackwright",
    "var/lib/systemd/random-seed",
]
STACKS = [
    NetworkStack(NETWORKD, enable=True, writes_resolv_conf=True),
    NetworkStack(NETPLAN, "networkd", writes_resolv_conf=True),
    NetworkStack(IFUPDOWN),
]


def folder(place: Path) -> None:
    place.mkdir()
    (place / "inside").write_text("x")


def link(target: str) -> Callable[[Path], None]:
    return lambda place: place.symlink_to(target)


ODDITIES: dict[str, Callable[[Path], None]] = {
    "nothing": lambda _: None,
    "a file": lambda place: place.touch(),
    "a folder": folder,
    "a pipe": os.mkfifo,
    "a loop": lambda place: place.symlink_to(place.name),
    "a link to nothing": link("/nowhere/at/all"),
    "a link to a folder": link("/srv/elsewhere"),
    "a link to a file": link("/srv/file"),
}


def refused(tree: ImageTree, stack: NetworkStack, bundle: Path) -> str:
    """Return the code of what the change ends with, empty where it is done."""
    target = TargetSystem(
        "/usr/bin/python3", stack, has_sshd=True, has_cloud_init=True, selinux=True
    )
    new = NewIdentity(
        MachineIdentity("node-1", "02:00:00:00:00:01", nameservers=()),
        "0" * 32,
        AgentConfig("https://192.0.2.1", "0" * 64, "", "", ""),
        NO_KEYS,
    )
    try:
        change_tree(tree, target, new, {"agent/__init__.py": bundle})
    except TerminalError as error:
        return error.code
    return ""


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.kind)
def test_a_rehearsal_ends_as_the_change_does(
    tmp_path: Path, stack: NetworkStack, oddity: str
) -> None:
    bundle = tmp_path / "source.py"
    bundle.touch()
    refusals = set()
    for number, place in enumerate(PLACES):
        if stack.kind != NETWORKD and not place.startswith(("etc/net", "etc/systemd")):
            continue
        root = tmp_path / str(number)
        write_tree(root, {**SYSTEM, "srv/file": "x"})
        (root / "srv/elsewhere").mkdir()
        spot = root / place
        if spot.is_dir():
            shutil.rmtree(spot)
        spot.unlink(missing_ok=True)
        spot.parent.mkdir(parents=True, exist_ok=True)
        ODDITIES[oddity](spot)
        before = listing(root)
        rehearsed = refused(Rehearsal(root), stack, bundle)
        assert listing(root) == before
        assert rehearsed == refused(ImageTree(root), stack, bundle), place
        refusals.add(rehearsed)
    if stack.kind == NETWORKD and oddity != "a link to a folder":
        assert refusals == ({""} if oddity == "nothing" else {"", "RW464"})


def listing(root: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in root.rglob("*"))
