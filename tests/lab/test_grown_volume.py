"""A volume in several pieces grows in the Deploy-OS, which has device-mapper and LVM.

The machine captures a disk with LVM and restores it to a larger one. Its agent is the real one but
for its first module, which does that and prints what it finds.
"""

import os
import shutil
import textwrap
from pathlib import Path

import pytest

from providers.deploy_os.build import build
from providers.deploy_os.recipe import CHECKOUT
from tests.lab.test_deploy_os_boot import Start, direct, drive, network, report, start

__all__ = ["start"]

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="building the Deploy-OS needs root"),
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed"),
]

MIB = 1 << 20

PROGRAM = """
import json, os, subprocess, time, traceback
from pathlib import Path

from agent.commands import dmsetup, losetup
from agent.imaging.capture import capture
from agent.imaging.device import open_device
from agent.imaging.lvm import read_layout
from agent.imaging.restore import restore
from agent.imaging.table import read_table
from agent.wire.disk import Disk, DiskIdentity

MIB = 1 << 20
LVM = "--driverloaded n --devices /dev/vda1 --config 'devices/use_devicesfile=0 backup/backup=0'"


class Store(dict):
    def missing(self, digests):
        return frozenset(digests) - self.keys()

    def put(self, digest, frame):
        self[digest] = frame

    def get(self, digest, *, checked=False):
        return self[digest]


def run(line, said=""):
    done = subprocess.run(line, shell=True, capture_output=True, text=True, input=said)
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stdout} {done.stderr}")
    return done.stdout


def described(node):
    size = int(Path(f"/sys/class/block/{node[5:]}/size").read_text()) * 512
    return Disk(DiskIdentity("", "", "test", size), node, "", 512, "", False, False)


def ignore(*_):
    pass


def prepare():
    run("sfdisk -q /dev/vda", "label: gpt\\nstart=1MiB, size=100MiB, type=V\\n")
    time.sleep(1)
    run(f"lvm pvcreate -q {LVM} /dev/vda1")
    run(f"lvm vgcreate -q {LVM} vg0 /dev/vda1")
    for name, size in (("root", 40), ("other", 16)):
        run(f"lvm lvcreate -q {LVM} -an -Zn -Wn -L {size}M -n {name} vg0")
    with losetup.attached(Path("/dev/vda"), 2 * MIB, 40 * MIB, 512, write=True) as node:
        run(f"mkfs.ext4 -q {node}")
        run(f"mount -t ext4 {node} /mnt")
        Path("/mnt/file").write_bytes(bytes(range(256)) * 8192)
        run("umount /mnt")


def volume():
    with open_device("/dev/vdb") as disk:
        table = read_table(disk.read, disk.size, 512)
        layout = read_layout(disk.read, [table.slots[0].extent])
    (found,) = [each for each in layout.volumes if each.name == "root"]
    return found.extents


def look(pieces):
    disk = described("/dev/vdb")
    with losetup.attached(Path(disk.node), 0, disk.identity.size, 512, write=False) as whole:
        with dmsetup.composed("look", whole, pieces) as node:
            run(f"e2fsck -f -n {node}")
            run(f"mount -t ext4 -o ro {node} /mnt")
            same = Path("/mnt/file").read_bytes() == bytes(range(256)) * 8192
            size = os.statvfs("/mnt").f_blocks * os.statvfs("/mnt").f_frsize
            run("umount /mnt")
    return same, size


def main():
    prepare()
    store, facts = Store(), {"device-mapper": dmsetup.is_there()}
    image = capture(described("/dev/vda"), store, ignore)
    result = restore(image, described("/dev/vdb"), store, ignore, grow="last")
    pieces = volume()
    same, size = look(pieces)
    facts |= {
        "volume": result.volume_grown,
        "partition": result.partition_grown,
        "pieces": [list(each) for each in pieces],
        "same": same,
        "size": size,
        "maps": run("dmsetup ls").strip(),
        "checked": run(f"lvm vgck {LVM.replace('vda1', 'vdb1')} vg0"),
    }
    return facts

try:
    print("FACTS " + json.dumps(main()), flush=True)
except BaseException as error:
    print("FACTS " + json.dumps({"error": traceback.format_exc()}), flush=True)
time.sleep(10000)
"""


def test_a_volume_in_several_pieces_grows_through_device_mapper(
    tmp_path: Path, start: Start
) -> None:
    agent = tmp_path / "agent"
    shutil.copytree(CHECKOUT / "agent", agent, ignore=shutil.ignore_patterns("__pycache__"))
    (agent / "__main__.py").write_text(textwrap.dedent(PROGRAM))
    deploy_os = build(tmp_path / "out", CHECKOUT / ".cache" / "deploy-os", report, agent)
    disks = []
    for name, size in (("golden", 110), ("target", 300)):
        disks.append(tmp_path / name)
        with disks[-1].open("wb") as file:
            file.truncate(size * MIB)
    machine = start(
        *("-m", "1024"), *network(), *drive(disks[0]), *drive(disks[1]), *direct(deploy_os, "")
    )
    facts = machine.facts()
    assert "error" not in facts, facts["error"]
    assert facts["device-mapper"]
    assert (facts["volume"], facts["partition"]) == ("vg0/root", 1)
    assert facts["pieces"] == [[2 * MIB, 40 * MIB], [58 * MIB, 240 * MIB]]
    assert facts["same"]
    assert facts["size"] > 250 * MIB
    assert (facts["maps"], facts["checked"]) == ("No devices found", "")
