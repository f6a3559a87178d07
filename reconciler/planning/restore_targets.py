"""Which image each restore of a scenario writes to which disk, or why that cannot be said.

Every refusal that can be known before the first write is made here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agent.imaging.errors import RefusedDiskError
from agent.wire.disk import Disk
from agent.wire.imaged_layout import PartitionPlace, differences
from agent.wire.imaged_system import Obstacle
from reconciler.planning.disk_sets import missing_members
from reconciler.planning.disks import choose_disk, describe
from reconciler.planning.growing import grown
from reconciler.planning.item import Grown
from reconciler.planning.machine_view import MachineView, Refusal, known_disks
from reconciler.planning.protection import protected, repairs
from reconciler.state.observed import ObservedImage, TimedReport
from specs.fleet import CompiledScenario, RestoreStep, UnsupportedStep


@dataclass(frozen=True, slots=True)
class RestoreTarget:
    """One restore, decided: this image onto this disk."""

    image: ObservedImage
    identity: str
    """``apply``, where the image has the system that becomes this machine, or ``keep``."""
    document: str
    """The name of its Image document."""
    disk: Disk
    observed_at: datetime
    partitions: tuple[int, ...]
    """The numbers of those that are written; empty for the whole disk."""
    grows: tuple[Grown, ...] | None
    """As that of an ``ImageChange``."""


def restore_targets(
    view: MachineView, scenario: CompiledScenario
) -> dict[RestoreStep, RestoreTarget] | Refusal | str:
    """Return what each restore writes where, or as ``_restore_target`` why that cannot be said."""
    targets: dict[RestoreStep, RestoreTarget] = {}
    for step in scenario.steps:
        if isinstance(step, UnsupportedStep):
            return (
                f"step {step.action} of {scenario.name}: {step.reason}",
                f"Take the step out of {scenario.name} ({scenario.position})",
            )
        if repairs([step]) and (kept := protected(view, scenario)):
            return kept
        if isinstance(step, RestoreStep):
            target = _restore_target(view, scenario, step)
            if not isinstance(target, RestoreTarget):
                return target
            if step in targets:
                return _same_disk(scenario)
            targets[step] = target
    if len({target.disk.identity for target in targets.values()}) < len(targets):
        return _same_disk(scenario)
    return _with_one_system(targets)


def _same_disk(scenario: CompiledScenario) -> Refusal:
    return (
        f"two steps of {scenario.name} would write the same disk",
        "Name another disk in one of the steps, by its serial or wwn",
    )


def _with_one_system(
    targets: dict[RestoreStep, RestoreTarget],
) -> dict[RestoreStep, RestoreTarget] | Refusal:
    """Return the restores, of which one at most gives the machine its identity.

    That is the one whose image has the installed system: beside it, disks without one keep what
    they have. As refusal why the identity cannot be given.
    """
    applying = {step: each for step, each in targets.items() if each.identity == "apply"}
    systems = {
        step: each
        for step, each in applying.items()
        if each.image.system is None or not each.image.system.is_absent
    }
    if len(systems) > 1:
        names = " and ".join(each.image.name for each in systems.values())
        return (
            f"images {names} would both become this machine",
            "Write `identity: keep` in the steps of those that are not the machine's system",
        )
    restored = [each.image for each in targets.values()]
    for each in (systems or applying).values():
        if each.image.system is None:
            continue
        if each.image.system.obstacles:
            return _no_identity(each.image.name, each.image.system.obstacles)
        missing = missing_members(each.image, restored)
        if missing and each.image.system.alone:
            reason, unblock = _no_identity(each.image.name, each.image.system.alone)
            together = f"Restore {', '.join(missing)} in the same scenario"
            return f"{reason}; it was captured together with {', '.join(missing)}", (
                f"{together}; or: {unblock}"
            )
    return {
        step: replace(each, identity="apply" if step in systems else "keep")
        for step, each in targets.items()
    }


def _restore_target(
    view: MachineView, scenario: CompiledScenario, step: RestoreStep
) -> RestoreTarget | Refusal | str:
    """Return what a step writes where; as text why the disks have to be looked at before."""
    known = protected(view, scenario) or known_disks(view)
    if not isinstance(known, TimedReport):
        return known
    image = view.images.get(step.image)
    if image is None:
        return _no_image(view, step)
    if not image.usable:
        return (
            f"image {image.name} is not usable: {image.problem}",
            "Repair the golden machine and capture the image again, with a new run token",
        )
    if unsigned := unsigned_image(image, required=view.signed_images_only):
        return unsigned
    return _on_disk(scenario, step, image, known)


def unsigned_image(image: ObservedImage, *, required: bool) -> Refusal | None:
    """Return why an image is not restored for want of a good signature."""
    if image.signature is None and not required:
        return None
    from providers.imaging.image_signature import (  # noqa: PLC0415 - most plans need none
        CheckedSignature,
        why_refused,
    )

    refusal = why_refused(image.signature or CheckedSignature("none"), required=required)
    if not refusal:
        return None
    return (
        f"RW447: image {image.name} ({image.manifest[:12]}) must not be restored: {refusal}",
        f"Find out where it comes from; if it is right, run `rackwright image sign {image.name}`",
    )


def _on_disk(
    scenario: CompiledScenario, step: RestoreStep, image: ObservedImage, known: TimedReport
) -> RestoreTarget | Refusal:
    """Return on which disk an image goes, and what of it grows there."""
    disk = choose_disk(step.disk, known.report.disks)
    if isinstance(disk, str):
        return disk, f"Name the disk in {scenario.name}, or repair it in the machine"
    if disk.part_of:
        return (
            f"disk {describe(disk)} is part of {disk.part_of}",
            "Name another disk, or take this one out of it on the machine first",
        )
    if misfit := _misfit(image, disk, step.partitions):
        return misfit, _fitting(image, disk, step.partitions)
    try:
        grows = grown(image.growable, disk.identity.size, step.grow)
    except RefusedDiskError as error:
        reason = f"image {image.name} on disk {describe(disk)}: {error.cause}"
        return reason, f"{error.action} ({scenario.name} at {scenario.position})"
    document = step.document or step.image
    return RestoreTarget(image, step.identity, document, disk, known.at, step.partitions, grows)


def _misfit(image: ObservedImage, disk: Disk, partitions: tuple[int, ...]) -> str:
    """Return why an image, or partitions of it, cannot be written to a disk; empty where it can."""
    if disk.sector_size != image.sector_size:
        return (
            f"disk {describe(disk)} has sectors of {disk.sector_size} bytes, "
            f"image {image.name} has {image.sector_size}"
        )
    if partitions:
        return _other_partitions(image, disk, partitions)
    if disk.identity.size < image.disk_size:
        return (
            f"disk {describe(disk)} has {disk.identity.size} bytes, "
            f"image {image.name} needs {image.disk_size}"
        )
    return ""


def _other_partitions(image: ObservedImage, disk: Disk, partitions: tuple[int, ...]) -> str:
    layout = image.layout
    if layout is None:  # of an older image: the agent looks before it writes
        return ""
    if lacking := layout.missing(partitions):
        return f"image {image.name} {lacking}"
    there = (PartitionPlace(p.number, p.start, p.size, p.type) for p in disk.partitions)
    found = differences(layout, partitions, disk.table or "none", there)
    other = f"disk {describe(disk)} has other partitions than image {image.name}"
    return f"{other}: {found}" if found else ""


def _fitting(image: ObservedImage, disk: Disk, partitions: tuple[int, ...]) -> str:
    """Return what to do about an image that does not fit a disk."""
    if partitions:
        return "Name other partitions, or restore the whole disk"
    size = disk.identity.size
    shrinks = image.sector_size == disk.sector_size and image.used_bytes < size < image.disk_size
    if not shrinks or image.unreadable_bytes:  # a smaller image would not say what it lacks
        return "Name another disk, or an image that fits it"
    from specs.types.quantities import ByteSize  # noqa: PLC0415 - most plans need none

    small = f"{image.name}-small"
    return (
        f"Name another disk, or an image that fits it: `rackwright image shrink {image.name} "
        f"{small} --to {ByteSize(size)}` makes one, {small}, if it can be made so small"
    )


def _no_image(view: MachineView, step: RestoreStep) -> Refusal:
    """Return why there is no image to restore, as far as is known."""
    if view.store_problem:
        problem = f"image {step.image} is not known: {view.store_problem}"
        return problem, "Plan again when it is back"
    return (
        f"image {step.image} has not been captured yet",
        f"Capture it: a scenario with `backup: {{image: {step.image}}}` on a golden machine"
        if not step.document
        else f'Back the machine up: a scenario with `backup: {{image: "{step.document}"}}`',
    )


def _no_identity(image: str, obstacles: Sequence[Obstacle]) -> Refusal:
    found = "; ".join(f"{each.code}: {each.cause}" for each in obstacles)
    actions = dict.fromkeys(each.action for each in obstacles)
    return f"a clone of image {image} cannot get its identity: {found}", "; ".join(actions)
