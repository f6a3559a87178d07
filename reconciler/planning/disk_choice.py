"""Which disk a request means: exactly one, or a reason why not. Never a guess."""

from collections.abc import Sequence

from agent.wire.disk import Disk
from specs.fleet import DiskRequest


def describe(disk: Disk) -> str:
    """Return a disk in the words of a person who stands before the machine."""
    name = " ".join(part for part in (disk.model, disk.identity.serial) if part)
    return f"{name or disk.identity.path} ({disk.node})"


def choose_disk(request: DiskRequest, disks: Sequence[Disk]) -> Disk | str:
    """Return the one fixed disk that ``request`` means, or why there is not exactly one."""
    fixed = [disk for disk in disks if not disk.removable and disk.identity.size > 0]
    wanted = {
        name: value for name in ("wwn", "serial", "path") if (value := getattr(request, name))
    }
    candidates = [
        disk
        for disk in fixed
        if all(getattr(disk.identity, name) == value for name, value in wanted.items())
    ]
    if len(candidates) == 1:
        chosen = candidates[0]
        return f"disk {describe(chosen)} is read-only" if chosen.read_only else chosen
    said = ", ".join(f"{name} {value}" for name, value in wanted.items())
    if not candidates:
        present = ", ".join(describe(disk) for disk in fixed) or "none"
        return f"no fixed disk has {said}; present: {present}" if said else "it has no fixed disk"
    names = ", ".join(describe(disk) for disk in candidates)
    return f"{len(candidates)} disks fit the role {request.role}: {names}; name one by its serial"
