"""Trees of ``/sys`` as kernels show them, built from what real machines had."""

from collections.abc import Mapping
from pathlib import Path

VIRTIO = "devices/pci0000:00/0000:00:04.0/virtio1/block/vda"
SATA = "devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda"
USB = "devices/pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
NVME = "devices/pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0/nvme0n1"
VIRTIO_SCSI = "devices/pci0000:00/0000:00:05.0/virtio2/host3/target3:0:1/3:0:1:0/block/sdc"
EMMC = "devices/platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0"
FC = "devices/pci0000:00/0000:00:07.0/host7/rport-7:0-2/target7:0:0/7:0:0:1/block/sdd"
ISCSI = "devices/platform/host4/session1/target4:0:0/4:0:0:1/block/sde"
NVME_FABRIC = "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1"
XEN = "devices/vbd-51712/block/xvda"


def add_disk(
    sysfs: Path, place: str, size: int, attributes: Mapping[str, str | bytes] | None = None
) -> Path:
    """Add a disk of ``size`` bytes whose device directory is ``place`` below ``sysfs``."""
    block = sysfs / place
    write_tree(
        block,
        {
            "size": str(size // 512),
            "queue/logical_block_size": "512",
            "removable": "0",
            "ro": "0",
            "hidden": "0",
            **(attributes or {}),
        },
    )
    (sysfs / "block").mkdir(parents=True, exist_ok=True)
    (sysfs / "block" / block.name).symlink_to(Path("..") / place)
    return block


def add_interface(sysfs: Path, name: str, attributes: Mapping[str, str]) -> None:
    """Add a network interface; with ``device/vendor`` it is physical."""
    write_tree(sysfs / "class/net" / name, {"type": "1", **attributes})


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files; texts end with a line feed, as the kernel's do."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
