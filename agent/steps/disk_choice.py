"""Which of the machine's disks a step means. Pure; ambiguity is an error, never a guess."""

from collections.abc import Collection, Sequence

from attrs import evolve

from agent.errors import TerminalError
from agent.wire.disk import Disk, DiskIdentity, DiskSelector

_CHOOSE = "Name the disk by serial, wwn or path in the scenario"


def select_disk(selector: DiskSelector, disks: Sequence[Disk]) -> Disk:
    """Return the one disk that the selector means.

    Named by ``wwn``, ``serial`` or ``path``: the disk that agrees with each one given.
    By role ``system`` alone: the only disk that is fixed, writable and not empty.
    TerminalError: RW451 no candidate, RW452 several, RW453 unknown role.
    """
    if selector.wwn or selector.serial or selector.path:
        return _only(
            [disk for disk in disks if _named_by(selector, disk)],
            f"disk {_selector_text(selector)}",
            disks,
        )
    if selector.role != "system":
        raise TerminalError(
            "RW453", f"the disk role {selector.role!r} is not known, only 'system' is", _CHOOSE
        )
    fixed = [d for d in disks if not d.removable and not d.read_only and d.identity.size > 0]
    return _only(fixed, "system disk (fixed, writable, not empty)", disks)


def find_disk(identity: DiskIdentity, disks: Sequence[Disk]) -> Disk:
    """Return the disk that has this identity now.

    TerminalError: RW451 absent, RW452 two disks have it, RW454 read-only.
    """
    disk = _only(
        [disk for disk in disks if same_disk(identity, disk.identity)],
        f"disk {_identity_text(identity)}",
        disks,
    )
    if disk.read_only:
        raise TerminalError(
            "RW454",
            f"the disk {describe(disk)} is read-only",
            "Remove its write protection, or choose another disk",
        )
    return disk


def refuse_part(disk: Disk) -> None:
    """Raise TerminalError RW575 where the disk is one part of something larger.

    What is written to half of a mirror is overwritten from the other half.
    """
    if disk.part_of:
        raise TerminalError(
            "RW575",
            f"the disk {describe(disk)} is part of {disk.part_of}",
            "Choose another disk, or take this one out of it first (`wipefs` clears a label "
            "that is left over)",
        )


def only_partitions(disk: Disk, numbers: Collection[int]) -> Disk:
    """Return the disk without the other partitions; as it is where ``numbers`` is empty."""
    if not numbers:
        return disk
    return evolve(disk, partitions=tuple(p for p in disk.partitions if p.number in numbers))


def same_disk(wanted: DiskIdentity, seen: DiskIdentity) -> bool:
    """Return whether ``seen`` is the disk that ``wanted`` names.

    Every one of ``wwn`` and ``serial`` that ``wanted`` has must agree; where it has
    neither, ``path`` must. The size must always agree. An identity without any of the
    three names no disk.
    """
    if wanted.size != seen.size:
        return False
    if wanted.wwn or wanted.serial:
        return wanted.wwn in ("", seen.wwn) and wanted.serial in ("", seen.serial)
    return bool(wanted.path) and wanted.path == seen.path


def describe(disk: Disk) -> str:
    """Return a disk in the words by which a person recognises it."""
    words = [disk.node, disk.model]
    words += [f"serial {disk.identity.serial}" if disk.identity.serial else ""]
    words += [f"wwn {disk.identity.wwn}" if disk.identity.wwn else ""]
    words += [f"path {disk.identity.path}", f"{disk.identity.size} bytes"]
    words += ["removable" if disk.removable else "", "read-only" if disk.read_only else ""]
    return " ".join(word for word in words if word)


def _only(candidates: Sequence[Disk], wanted: str, disks: Sequence[Disk]) -> Disk:
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise TerminalError(
            "RW452",
            f"more than one {wanted}: {'; '.join(describe(disk) for disk in candidates)}",
            _CHOOSE,
        )
    present = "; ".join(describe(disk) for disk in disks) or "no disk at all"
    raise TerminalError(
        "RW451", f"there is no {wanted}; this machine has: {present}", "Inspect the machine's disks"
    )


def _named_by(selector: DiskSelector, disk: Disk) -> bool:
    identity = disk.identity
    return (
        identity.size > 0
        and selector.wwn in ("", identity.wwn)
        and selector.serial in ("", identity.serial)
        and selector.path in ("", identity.path)
    )


def _selector_text(selector: DiskSelector) -> str:
    named = (("wwn", selector.wwn), ("serial", selector.serial), ("path", selector.path))
    return " ".join(f"{name}={value}" for name, value in named if value)


def _identity_text(identity: DiskIdentity) -> str:
    named = (("wwn", identity.wwn), ("serial", identity.serial), ("path", identity.path))
    return " ".join(
        [*(f"{name}={value}" for name, value in named if value), f"size={identity.size}"]
    )
