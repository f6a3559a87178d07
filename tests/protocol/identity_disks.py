"""Disks with whole systems, partitioned and formatted by the real tools."""

import hashlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.config import AgentConfig
from agent.identity.linux.apply import apply_identity
from agent.identity.linux.change import NewIdentity
from agent.identity.linux.suitability import imaged_system
from agent.identity.machine_identity import checked_identity
from agent.inspection.disks import inspect_disks
from agent.inspection.host_paths import HostPaths
from agent.wire.disk import Disk, DiskIdentity
from agent.wire.imaged_system import ImagedSystem
from agent.wire.step import ApplyIdentity
from tests.unit.agent_sysfs import VIRTIO, add_disk, write_tree

MIB = 1024 * 1024
START = 1 * MIB
PIN = "ab" * 32
CONFIG = AgentConfig("https://10.77.0.1:8443", PIN, "t-secret", "op-1", "node-0713")
IDENTITY = checked_identity(
    ApplyIdentity(
        disk=DiskIdentity("", "s", "", 1),
        hostname="node-0713",
        mac="52:54:00:12:34:56",
        addresses=("10.20.7.13/24",),
        gateway="10.20.7.1",
        nameservers=("10.20.0.53",),
        server="https://10.77.0.1:8443",
        pin=PIN,
        agent_token="t-secret",  # noqa: S106 - a token of this test only
        operation="op-1",
    )
)
NEW = NewIdentity(IDENTITY, "0123456789abcdef" * 2, CONFIG)

SYSTEM = {
    "etc/os-release": 'PRETTY_NAME="Golden Linux"',
    "etc/hostname": "golden",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 golden",
    "etc/machine-id": "f" * 32,
    "etc/fstab": "",
    "etc/ssh/ssh_host_dsa_key": "the golden machine's",
    "etc/ssh/ssh_host_rsa_key": "the golden machine's",
    "etc/ssh/sshd_config": "kept",
    "etc/network/interfaces": "iface eth0 inet static",
    "etc/systemd/network/05-golden.network": "[Match]\nName=*",
    "usr/bin/openssl": "",
    "usr/bin/python3.11": "",
    "usr/lib/python3.11/http/client.py": "",
    "usr/lib/python3.11/ssl.py": "",
    "usr/lib/python3.11/json/__init__.py": "",
    "usr/lib/python3.11/email/message.py": "",
    "usr/lib/rackwright/agent/stale.py": "of an older agent",
    "usr/lib/systemd/systemd": "",
    "usr/sbin/sshd": "",
    "var/lib/rackwright/agent.key": "the golden machine's",
    "var/lib/systemd/random-seed": "x",
}


def system(root: Path, *, without: tuple[str, ...] = ()) -> None:
    write_tree(root, {name: text for name, text in SYSTEM.items() if name not in without})
    (root / "usr/bin").mkdir(exist_ok=True)
    (root / "usr/bin/python3").symlink_to("python3.11")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")


class Rack:
    """A disk that is a file, partitioned and formatted by the real tools."""

    def __init__(self, directory: Path) -> None:
        self.paths = HostPaths(sysfs=directory / "sys", dev=directory / "dev")
        self.node = directory / "dev/vdzz"
        self._directory = directory

    def build(self, *trees: Path, size: int = 24) -> Disk:
        """Put each tree into an ext4 partition of ``size`` MiB; return the inspected disk."""
        parts = []
        for index, tree in enumerate(trees):
            parts.append(self._directory / f"part{index}")
            options = ["-q", "-L", f"fs{index}", "-d", str(tree)]
            run(["mkfs.ext4", *options, str(parts[-1]), f"{size}M"])
        return self.assemble(*parts)

    def assemble(self, *parts: Path) -> Disk:
        """Put each file, of whole MiB, into a partition; return the inspected disk."""
        sizes = [part.stat().st_size for part in parts]
        total = START + sum(sizes) + MIB
        self.node.parent.mkdir(exist_ok=True)
        with self.node.open("wb") as file:
            file.truncate(total)
        lines = "".join(
            f'size={size // MIB}MiB, name="Linux {n}"\n' for n, size in enumerate(sizes)
        )
        run(["sfdisk", "-q", str(self.node)], f"label: gpt\n{lines}")
        for index, part in enumerate(parts):
            place = START // MIB + sum(sizes[:index]) // MIB
            options = ["bs=1M", f"seek={place}", "conv=notrunc,sparse", "status=none"]
            run(["dd", f"if={part}", f"of={self.node}", *options])
            part.unlink()
        add_disk(self.paths.sysfs, VIRTIO.replace("vda", "vdzz"), total, {"serial": "s"})
        (disk,) = inspect_disks(self.paths).disks
        return disk

    def look(self, disk: Disk) -> ImagedSystem:
        """Return the system as a capture finds it; the disk is as it was before."""
        before = self.digest()
        found = imaged_system(self.paths.sysfs, disk)
        assert self.digest() == before
        assert found is not None
        return found

    def apply(self, disk: Disk) -> dict[str, str]:
        return apply_identity(self.paths.sysfs, disk, NEW, lambda _done, _total: None)

    def digest(self) -> str:
        return hashlib.sha256(self.node.read_bytes()).hexdigest()

    @contextmanager
    def opened(self, index: int = 0, size: int = 24) -> Iterator[Path]:
        place = self._directory / f"mnt{index}"
        place.mkdir(exist_ok=True)
        offset = START + index * size * MIB
        options = f"ro,loop,offset={offset},sizelimit={size * MIB}"
        run(["mount", "-t", "ext4", "-o", options, str(self.node), str(place)])
        try:
            yield place
        finally:
            run(["umount", str(place)])


def run(argv: list[str], stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loop_devices_left(folder: str) -> bool:
    """Return whether a loop device still shows a file of ``folder`` after five seconds.

    A detached device goes when its last opener closes it, which may be a probe of udev's.
    """
    deadline = time.monotonic() + 5
    listing = ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"]
    while folder in run(listing):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False
