"""The machine's disks: identity and paths from sysfs, and what is on them."""

import re
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve, frozen

from agent.errors import CodedError
from agent.inspection.disk_content import DiskContent, disk_content
from agent.inspection.hardware_path import hardware_path
from agent.inspection.host_paths import HostPaths, read_line, read_number
from agent.inspection.sampling import Budget
from agent.wire.disk import Disk, DiskIdentity

_KERNEL_SECTOR = 512  # of /sys/block/*/size, whatever the disk's own sectors are
_NO_DISK = re.compile(r"(loop|ram|zram|dm-|sr|fd|md|nbd|mtdblock)\d.*|mmcblk\d+(boot\d+|rpmb)")
_LASTING_ID = re.compile(r"(naa|eui|uuid|nvme)\.\S+")
_SCSI_NETWORKS = {
    "fc": re.compile(r"rport-\d+:\d+-\d+"),
    "iscsi": re.compile(r"session\d+"),
}
_LOCAL_NVME = ("", "pcie", "loop")
_SAMPLING_SECONDS = 5.0
"""For the samples of all disks together."""


@frozen
class DiskInspection:
    """All disks in the order of their kernel names, and what could not be read."""

    disks: tuple[Disk, ...]
    problems: tuple[str, ...]


def inspect_disks(paths: HostPaths) -> DiskInspection:
    """Return all disks of the machine; what fails on one disk is a problem, not an error."""
    problems: list[str] = []
    blocks = sorted((paths.sysfs / "block").glob("*"), key=lambda path: path.name)
    budget = Budget.of(_SAMPLING_SECONDS)
    disks = [
        _inspect_disk(block, paths.dev / block.name, budget, problems)
        for block in blocks
        if not _NO_DISK.fullmatch(block.name) and read_line(block / "hidden") != "1"
    ]
    return DiskInspection(_with_paths(disks, problems), tuple(problems))


def _inspect_disk(block: Path, node: Path, budget: Budget, problems: list[str]) -> Disk:
    size = read_number(block / "size") * _KERNEL_SECTOR
    sector = read_number(block / "queue/logical_block_size") or _KERNEL_SECTOR
    path = hardware_path(block)
    content = DiskContent("no medium")
    if size:
        try:
            content = disk_content(node, block, size, sector, budget)
        except (CodedError, OSError) as error:
            content = DiskContent("unreadable", problems=(str(error),))
    problems += [f"{node}: {problem}" for problem in content.problems]
    disk = Disk(
        identity=DiskIdentity(_lasting_id(block), _serial(block), path, size),
        node=str(node),
        model=_model(block),
        sector_size=sector,
        table=content.table,
        removable=read_line(block / "removable") == "1" or "-usb-" in path,
        read_only=read_line(block / "ro") == "1",
        partitions=content.partitions,
        holds=content.holds,
        part_of=content.part_of,
        transport=_transport(block),
    )
    return _as_part(disk, _multipath(block))


def _as_part(disk: Disk, part_of: str) -> Disk:
    """Return the disk as a part of something, unless that is empty or it is one already."""
    if not part_of or disk.part_of:
        return disk
    return evolve(disk, part_of=part_of, holds=f"part of {part_of}; {disk.holds}")


def _with_paths(disks: Sequence[Disk], problems: list[str]) -> tuple[Disk, ...]:
    """Return the disks, those marked that the machine sees more than once.

    Several paths of a storage network lead to one disk: WWN, serial and size are the same.
    Each is named in ``problems``.
    """
    nodes: dict[DiskIdentity, list[str]] = {}
    for disk in disks:
        if disk.identity.wwn:
            nodes.setdefault(evolve(disk.identity, path=""), []).append(disk.node)
    paths = {each: ", ".join(same) for each, same in nodes.items() if len(same) > 1}
    problems += [f"{names}: one disk, seen by several paths" for names in paths.values()]
    marked = []
    for disk in disks:
        names = paths.get(evolve(disk.identity, path=""))
        marked.append(_as_part(disk, f"one disk with several paths ({names})" if names else ""))
    return tuple(marked)


def _transport(block: Path) -> str:
    """Return the network that leads to a disk, empty where it is in the machine.

    The SCSI transport classes put a remote port or a session above the disk; an NVMe
    controller names its transport, and with multipath the subsystem's controllers do.
    """
    above = block.resolve().parts
    for name, pattern in _SCSI_NETWORKS.items():
        if any(pattern.fullmatch(part) for part in above):
            return name
    controllers = [block / "device", *sorted(block.glob("device/nvme*"))]
    names = [read_line(controller / "transport") for controller in controllers]
    return next((f"nvme-{name}" for name in names if name not in _LOCAL_NVME), "")


def _multipath(block: Path) -> str:
    """Return the multipath device that the disk is a path of; empty where it is none."""
    for holder in sorted(block.glob("holders/*")):
        if read_line(holder / "dm/uuid").startswith("mpath-"):
            return f"the multipath device {read_line(holder / 'dm/name') or holder.name}"
    return ""


def _lasting_id(block: Path) -> str:
    """Return the World Wide Name or NVMe identifier, as the kernel writes it.

    The kernel falls back to vendor and serial (``t10.``), which is no identifier that
    a standard makes unique; the serial says the same.
    """
    for name in ("wwid", "device/wwid"):
        text = read_line(block / name)
        if _LASTING_ID.fullmatch(text):
            return text
    return ""


def _serial(block: Path) -> str:
    """Return the serial number: NVMe and MMC, virtio, or SCSI's unit serial number page."""
    text = read_line(block / "device/serial") or read_line(block / "serial")
    if text:
        return text
    try:
        page = (block / "device/vpd_pg80").read_bytes()
    except OSError:
        return ""
    # SPC-4, 7.8.15: a header of four bytes, then the serial in ASCII, often padded.
    return page[4:].decode("ascii", "replace").strip("\0 ")


def _model(block: Path) -> str:
    """Return vendor and model; ``ATA`` is what the kernel calls every SATA disk's vendor."""
    vendor = read_line(block / "device/vendor")
    model = read_line(block / "device/model") or read_line(block / "device/name")
    if not model or vendor == "ATA" or vendor.startswith("0x"):
        return model
    return f"{vendor} {model}".strip()
