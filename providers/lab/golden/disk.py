"""Golden disks: assembling one from the cached root file system."""

import os
import shutil
import tempfile
from pathlib import Path

from providers.lab.command import run
from providers.lab.errors import no_space
from providers.lab.golden import esp, grub, mke2fs
from providers.lab.golden.identity import DiskIdentity, write_identity
from providers.lab.golden.partition_table import TableKind, layout, write_table

_SCRATCH = "golden-"


def make_blank(disk: Path, size: int) -> None:
    """Make a disk file of ``size`` bytes that takes no space yet. RW808."""
    try:
        with disk.open("xb") as device:
            os.truncate(device.fileno(), size)
    except OSError as error:
        raise no_space(disk, str(error)) from error


def make_golden(
    disk: Path, size: int, table: TableKind, root_tar: Path, identity: DiskIdentity
) -> None:
    """Make a disk file that boots Debian 12, in a few seconds.

    It appears under its name when it is whole. RW801, RW802, RW808, RW809.
    """
    plan = layout(table, size)
    for left in disk.parent.glob(f"{_SCRATCH}*"):  # by one that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=disk.parent, prefix=_SCRATCH) as name:
        scratch = Path(name)
        tree = scratch / "tree"
        tree.mkdir(mode=0o755)
        run(
            [
                *("tar", "--extract", "--numeric-owner", "--preserve-permissions", "--xattrs"),
                *(f"--file={root_tar}", f"--directory={tree}"),
            ],
            package="tar",
            writes=disk,
        )
        write_identity(tree, identity, with_esp=plan.esp is not None)
        (tree / "boot/grub").mkdir(exist_ok=True)
        (tree / "boot/grub/grub.cfg").write_text(grub.menu(identity.root_uuid))

        partial = scratch / "disk.raw"
        make_blank(partial, size)
        write_table(partial, plan)
        mke2fs.write_root(partial, plan.root, identity.root_uuid, tree)
        core = grub.make_core(scratch, identity.root_uuid)
        grub.write_bios_boot(partial, core, plan.boot_code_start, plan.boot_code_length)
        if plan.esp is not None:
            configuration = scratch / "grub.cfg"
            configuration.write_text(
                grub.finder(identity.root_uuid) + "configfile $prefix/grub.cfg\n"
            )
            esp.write_esp(partial, plan.esp, identity.esp_volume_id, configuration)
        partial.rename(disk)
