"""What on this machine uses a disk: mounts, swap, md and dm, loop devices over it."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.imaging.refusal import plain_id

_SYS = Path("/sys")
_PROC = Path("/proc")
_DEVICE, _MOUNT_POINT = 2, 4  # fields of /proc/self/mountinfo, proc(5)
_DECODED = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def mounts_of(mountinfo: str, devices: Mapping[str, str]) -> tuple[str, ...]:
    """Return ``vda1 mounted at /boot`` for each mount of ``devices``.

    ``devices`` maps device numbers (``254:1``) to names; ``mountinfo`` is
    ``/proc/self/mountinfo`` (proc(5)).
    """
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) <= _MOUNT_POINT:
            continue
        # Btrfs shows a device number of its own, so the source is looked at as well.
        source = after.split(" ")[1].rpartition("/")[2] if after.count(" ") else ""
        name = devices.get(fields[_DEVICE]) or next(
            (name for name in devices.values() if name == source), ""
        )
        if name:
            place = fields[_MOUNT_POINT]
            for code, character in _DECODED:
                place = place.replace(code, character)
            found.append(f"{name} mounted at {place}")
    return tuple(found)


def swaps_on(swaps: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return ``vda2 used as swap`` for each of ``names`` in ``/proc/swaps``."""
    used = {line.split(" ")[0].split("\t")[0] for line in swaps.splitlines()[1:]}
    return tuple(f"{name} used as swap" for name in names if f"/dev/{name}" in used)


def occupants(node: str, *, sys: Path = _SYS, proc: Path = _PROC) -> tuple[str, ...]:
    """Return one phrase for each use of the disk, its partitions and loops over them."""
    real = os.path.realpath(node)
    disk = sys / "class" / "block" / Path(real).name
    family = [disk, *_partitions(disk)] if disk.is_dir() else []
    paths = {real, *(f"/dev/{member.name}" for member in family)}
    loops = [
        part
        for loop in sys.glob("block/loop*/loop/backing_file")
        if _text(loop) in paths
        for part in (loop.parent.parent, *_partitions(loop.parent.parent))
    ]
    devices = {_text(member / "dev"): member.name for member in (*family, *loops)}
    holders = tuple(
        f"{member.name} held by {holder.name}"
        for member in family
        for holder in sorted(member.glob("holders/*"))
    )
    return (
        *mounts_of(_text(proc / "self" / "mountinfo"), devices),
        *swaps_on(_text(proc / "swaps"), devices.values()),
        *holders,
    )


def disk_ids(node: str, *, sys: Path = _SYS) -> tuple[str, str]:
    """Return serial and WWN as the kernel knows them now; empty where it does not.

    An ATA disk's ``t10.`` identifier holds model and serial and is no WWN.
    """
    disk = sys / "class" / "block" / Path(os.path.realpath(node)).name
    serial = _text(disk / "serial") or _text(disk / "device" / "serial")
    wwn = _text(disk / "wwid") or _text(disk / "device" / "wwid")
    return serial, wwn if plain_id(wwn) != wwn.lower() else ""


def partition_node(node: str, start: int, size: int, *, sys: Path = _SYS) -> str | None:
    """Return the kernel's node for the partition at ``start``, if it has exactly this one."""
    disk = sys / "class" / "block" / Path(os.path.realpath(node)).name
    for part in _partitions(disk):
        if _text(part / "start") == str(start // 512) and _text(part / "size") == str(size // 512):
            return f"/dev/{part.name}"
    return None


def _partitions(disk: Path) -> list[Path]:
    return sorted(found.parent for found in disk.glob("*/partition"))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
