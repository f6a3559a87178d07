"""A golden disk whose root lies on LVM: the rack's Debian with lvm2, put on volumes."""

import shutil
from dataclasses import replace
from pathlib import Path

from agent.imaging.extent import Extent
from providers.lab.command import run
from providers.lab.golden import grub, mke2fs
from providers.lab.golden.disk import make_blank
from providers.lab.golden.identity import DiskIdentity, write_identity
from providers.lab.golden.partition_table import SECTOR, Partition, layout, write_table
from providers.lab.golden.recipe import DEBIAN12
from providers.lab.golden.root_tar import root_tar
from tests.protocol.imaging_disks import loop
from tests.protocol.lvm_disks import lvm

GROUP = "golden-vg"
"""As Debian's installer names it, with the hyphen that device-mapper doubles."""
_ROOT = "/dev/mapper/golden--vg-root"
_FSTAB = f"""\
{_ROOT} / ext4 errors=remount-ro 0 1
/dev/mapper/golden--vg-swap_1 none swap sw 0 0
"""
_LVM_TYPE = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
_RECIPE = replace(DEBIAN12, packages=(*DEBIAN12.packages, "lvm2"))
_PIECE = 1 << 20


def make_golden_on_lvm(disk: Path, size: int, cache: Path, identity: DiskIdentity) -> None:
    """Make a disk file that boots Debian 12 by BIOS from a root in two pieces, beside swap."""
    scratch = disk.with_name("lvm-golden")
    tree = scratch / "tree"
    tree.mkdir(parents=True)
    tar = root_tar(_RECIPE, cache, lambda _: None)
    unpack = ("tar", "--extract", "--numeric-owner", "--preserve-permissions", "--xattrs")
    run([*unpack, f"--file={tar}", f"--directory={tree}"], package="tar")
    write_identity(tree, identity, with_esp=False)
    (tree / "etc/fstab").write_text(_FSTAB)
    (tree / "boot/grub").mkdir(exist_ok=True)
    menu = grub.menu(identity.root_uuid).replace(f"root=UUID={identity.root_uuid}", f"root={_ROOT}")
    (tree / "boot/grub/grub.cfg").write_text(menu)

    disk.unlink(missing_ok=True)
    make_blank(disk, size)
    plan = layout("gpt", size)
    physical = replace(plan.root, name="lvm", type_code=_LVM_TYPE)
    write_table(disk, replace(plan, partitions=(plan.partitions[0], physical)))
    with lvm(disk, Extent(physical.start * SECTOR, physical.length * SECTOR)) as tools:
        tools("pvcreate", tools.nodes[0])
        tools("vgcreate", GROUP, tools.nodes[0])
        tools.create(GROUP, "root", "256M")
        tools.create(GROUP, "swap_1", "128M")
        tools("lvextend", "-L", "2G", f"{GROUP}/root")
        pieces = tools.pieces(GROUP, "root")
        (swap,) = tools.pieces(GROUP, "swap_1")
    assert len(pieces) == 2
    root = scratch / "root.ext4"
    whole = Partition("root", "", 0, sum(piece.length for piece in pieces) // SECTOR)
    make_blank(root, whole.length * SECTOR)
    mke2fs.write_root(root, whole, identity.root_uuid, tree)
    _fill(disk, pieces, root)
    with loop(disk, "--offset", str(swap.offset), "--sizelimit", str(swap.length)) as node:
        run(["mkswap", node], package="util-linux")
    core = grub.make_core(scratch, identity.root_uuid, modules=("lvm",))
    grub.write_bios_boot(disk, core, plan.boot_code_start, plan.boot_code_length)
    shutil.rmtree(scratch)


def _fill(disk: Path, pieces: list[Extent], content: Path) -> None:
    """Write a volume's content to where it lies; zeros stay holes."""
    with disk.open("r+b") as target, content.open("rb") as source:
        for piece in pieces:
            for offset in range(piece.offset, piece.end, _PIECE):
                data = source.read(min(_PIECE, piece.end - offset))
                if any(data):
                    target.seek(offset)
                    target.write(data)
