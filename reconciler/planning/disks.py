"""Disks of a machine: which one a request means, the image that is on it, its last backup."""

import json
from collections.abc import Iterable, Mapping, Sequence

from agent.wire.disk import Disk, DiskIdentity, DiskSelector
from agent.wire.imaged_layout import are_apart
from agent.wire.step import Backup, Restore
from reconciler.planning.item import LastBackup
from reconciler.state.observed import Capture, ObservedImage
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import OperationState
from specs.fleet import BackupStep, DiskRequest


def describe(disk: Disk) -> str:
    """Return a disk in the words of a person who stands before the machine."""
    name = " ".join(part for part in (disk.model, disk.identity.serial) if part)
    return f"{name or disk.identity.path} ({disk.node})"


def choose_disk(request: DiskRequest, disks: Sequence[Disk]) -> Disk | str:
    """Return the one fixed disk that ``request`` means, or why there is not exactly one.

    It is never guessed.
    """
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
    return _ambiguous(said or f"the role {request.role}", candidates)


def _ambiguous(wanted: str, candidates: Sequence[Disk]) -> str:
    """Return that several disks are meant, and what to write to mean one of them."""
    names = ", ".join(describe(disk) for disk in candidates)
    told = _telling(candidates)
    how = f"name one, as in `{told}`" if told else "nothing that can be named tells them apart"
    return f"{len(candidates)} disks fit {wanted}: {names}; {how}"


def _telling(candidates: Sequence[Disk]) -> str:
    """Return the YAML that means the first of these disks and no other; empty if there is none."""
    first = candidates[0].identity
    for name in ("serial", "wwn", "path"):
        values = [getattr(disk.identity, name) for disk in candidates]
        if values.count(getattr(first, name)) == 1 and values[0]:
            return f"disk: {{{name}: {json.dumps(values[0], ensure_ascii=False)}}}"
    return ""


def read_disks(backups: Iterable[BackupStep], disks: Sequence[Disk]) -> str:
    """Return why backups cannot choose their disks, or mean one twice; empty if not.

    Like the agent, which chooses: of the fixed and writable disks by role, of all by name.
    """
    chosen: list[tuple[int, BackupStep]] = []
    for backup in backups:
        image, request = backup.image, backup.disk
        named = any((request.wwn, request.serial, request.path))
        wanted = DiskSelector(request.role, request.wwn, request.serial, request.path)
        candidates = [
            number
            for number, disk in enumerate(disks)
            if disk.identity.size > 0
            and (named or not (disk.removable or disk.read_only))
            and _meant(wanted, disk.identity)
        ]
        if len(candidates) > 1:
            said = "its disk selection" if named else f"the role {request.role}"
            found = _ambiguous(said, [disks[number] for number in candidates])
            return f"image {image}: {found}"
        for number in candidates:
            for other, earlier in chosen:
                if other == number and not are_apart(earlier.partitions, backup.partitions):
                    return (
                        f"images {earlier.image} and {image} would be of the same disk, "
                        f"{describe(disks[number])}"
                    )
            chosen.append((number, backup))
    return ""


def image_on(disk: DiskIdentity, operations: Iterable[OperationStatus]) -> str:
    """Return the manifest that the last verified restore of the whole disk wrote; or empty."""
    found = ""
    for status in _verified(operations):
        for step in status.operation.instructions.steps:
            if isinstance(step, Restore) and step.disk == disk and not step.partitions:
                found = step.manifest
    return found


def last_backup(
    disk: Disk,
    operations: Iterable[OperationStatus],
    captures: Iterable[Capture],
    images: Mapping[str, ObservedImage],
) -> LastBackup | None:
    """Return the newest image of this disk that can be restored by its name now.

    ``operations`` are those of the disk's machine, so that no other machine's image
    passes for a backup of it. The capture must be verified, its name must still
    stand for what it brought in, and the disk must fit what was read: the one that
    the step named, else one of the same size.
    """
    mine = tuple(_verified(operations))
    restorable = {
        (capture.operation, capture.image): capture.manifest
        for capture in captures
        if capture.proof == ""
    }
    found: LastBackup | None = None
    for status in mine:
        for step in status.operation.instructions.steps:
            if not isinstance(step, Backup) or not _meant(step.disk, disk.identity):
                continue
            if step.partitions:  # what lies on the others would be lost
                continue
            image = images.get(step.image)
            if image is None or not image.usable or image.disk_size != disk.identity.size:
                continue
            if restorable.get((status.operation.op_id, step.image)) != image.manifest:
                continue
            if found is None or image.created > found.at:
                overwritten = any(
                    disk.identity in later.operation.instructions.disks and later.at > image.created
                    for later in mine
                )
                found = LastBackup(
                    image.name,
                    image.manifest,
                    image.created,
                    overwritten,
                    image.unreadable_bytes,
                )
    return found


def _verified(operations: Iterable[OperationStatus]) -> Iterable[OperationStatus]:
    return (status for status in operations if status.state is OperationState.VERIFIED)


def _meant(wanted: DiskSelector, disk: DiskIdentity) -> bool:
    named = ((wanted.wwn, disk.wwn), (wanted.serial, disk.serial), (wanted.path, disk.path))
    return all(want in {"", have} for want, have in named)
