"""From a scenario to the steps that one machine's agent will run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import assert_never

from agent.imaging.errors import RefusedDiskError
from agent.wire.disk import Disk, DiskIdentity, DiskSelector
from agent.wire.imaged_layout import PartitionPlace, counted_partitions, differences
from agent.wire.imaged_system import Obstacle
from agent.wire.step import ApplyIdentity, Backup, Finish, InspectDisks, Restore, Step
from agent.wire.work import OnError, TimeLimit
from reconciler.planning.decision import Decision, Work, blocked
from reconciler.planning.disk_sets import (
    ImageToDisk,
    in_safe_order,
    missing_members,
    partition_warnings,
    set_warnings,
)
from reconciler.planning.disks import choose_disk, describe, image_on, last_backup, read_disks
from reconciler.planning.estimate import restore_seconds
from reconciler.planning.growing import grown
from reconciler.planning.item import DiskFacts, Grown, ImageChange, Risk
from reconciler.state.observed import (
    Capture,
    ObservedImage,
    ObservedMachine,
    TimedReport,
    is_fresh,
    is_future,
)
from reconciler.state.operation import INSPECTION, OperationKind, OperationStatus
from reconciler.state.operation_states import OperationState
from specs.fleet import (
    PROTECT,
    Assignment,
    BackupStep,
    CompiledImage,
    CompiledMachine,
    CompiledNetwork,
    CompiledScenario,
    InspectDisksStep,
    RestoreStep,
    ScenarioStep,
    SystemStep,
    Trigger,
    UnsupportedStep,
)

INSPECTION_TIMEOUT = 30 * 60
INSPECTION_ON_ERROR = OnError("local-boot", 60)
Refusal = tuple[str, str]
"""Why the work waits for a person or another operation, and what a person can do about it."""


@dataclass(frozen=True, slots=True)
class Disputed:
    """An operation that more than one machine of the fleet may have had."""

    status: OperationStatus
    owners: tuple[str, ...]
    """Their names, in order."""


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine: what is wanted, all that is known, and what it may rely on."""

    machine: CompiledMachine
    network: CompiledNetwork | None
    seen: ObservedMachine
    operations: tuple[OperationStatus, ...]
    images: Mapping[str, ObservedImage]
    max_age: timedelta
    """An older observation is UNKNOWN."""
    now: datetime
    captures: tuple[Capture, ...] = ()
    """What this machine's operations brought into the store."""
    disputed: tuple[Disputed, ...] = ()
    """Operations that may have been this machine's or another's."""
    declared_images: Mapping[str, CompiledImage] = field(default_factory=dict)
    """What the repository says of images, by the names of documents."""
    signed_images_only: bool = False
    store_problem: str = ""
    """Why nothing is known of images, with its code; empty where the image store is there."""

    @property
    def system_is_running(self) -> bool:
        """Return whether an installed system has to be taken for running.

        Its agent reported recently enough, and nothing says that the machine
        restarted since. A server that was away hears nothing: the doubt counts as
        running, so that work which interrupts it is never shown as safe.
        """
        heard = self.seen.installed
        if heard is None or self.now - heard.at > self.max_age:
            return False
        later = [self.seen.boot_request, self.seen.ramdisk.at if self.seen.ramdisk else None]
        return all(at is None or at < heard.at or is_future(at, self.now) for at in later)


@dataclass(frozen=True, slots=True)
class _Target:
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


WAS_PROTECTED = "the machine was protected at"
"""So begins the reason of work that an earlier revision keeps from a machine."""


def work_for(
    revision: str, view: MachineView, assignment: Assignment, scenario: CompiledScenario
) -> Decision:
    """Return the work of ``scenario`` on this machine, or why there is none yet."""
    targets = _refused(view, scenario) or _unreadable(view, scenario) or _targets(view, scenario)
    if isinstance(targets, str):
        return _inspection(revision, view, assignment, targets)
    if isinstance(targets, tuple):
        reason, unblock = targets
        return blocked(assignment, reason, view.seen.last_seen, unblock)
    written = tuple(target.disk.identity for target in targets.values())
    scenario = _in_order(scenario, targets)
    in_turn = [targets[step] for step in scenario.steps if isinstance(step, RestoreStep)]
    images = tuple(_change(view, target) for target in in_turn)
    steps, limits = _steps(view, scenario, targets)
    kind = _kind(scenario)
    reason = _reason(view, assignment, scenario)
    general = _reason(view, assignment, scenario, of_documents=True)
    return Decision(
        risk=_risk(view, scenario, written),
        action=kind,
        reason=reason,
        general_reason=general if general != reason else "",
        cause=assignment.origin,
        work=Work(
            kind=kind,
            scenario=scenario.name,
            run=assignment.run,
            inputs=(scenario.digest, *(target.image.manifest for target in targets.values())),
            revision=revision,
            steps=(*steps, Finish(scenario.after)),
            disks=written,
            proof=scenario.after == "reboot"
            and any(target.identity == "apply" for target in targets.values()),
            timeout_seconds=scenario.timeout_seconds,
            limits=limits,
            on_error=OnError(scenario.on_error, scenario.on_error_seconds),
        ),
        disks=tuple(_facts(view, target) for target in in_turn),
        spared=_spared(view, in_turn),
        images=images,
        seconds=restore_seconds(sum(image.used_bytes for image in images)) if images else 0,
        observed_at=view.seen.disks.at if view.seen.disks else view.seen.last_seen,
        trigger=scenario.trigger,
        warnings=_warnings(view, in_turn),
    )


def _in_order(
    scenario: CompiledScenario, targets: Mapping[RestoreStep, _Target]
) -> CompiledScenario:
    """Return the scenario with its restores in the order in which they are carried out."""
    places = [place for place, step in enumerate(scenario.steps) if isinstance(step, RestoreStep)]
    images = {
        place: targets[step].image
        for place in places
        if isinstance(step := scenario.steps[place], RestoreStep)
    }
    order = dict(zip(places, in_safe_order(images), strict=True))
    if all(place == wanted for place, wanted in order.items()):
        return scenario
    seconds = list(scenario.step_seconds) + [0] * (len(scenario.steps) - len(scenario.step_seconds))
    wanted = [order.get(place, place) for place in range(len(scenario.steps))]
    return scenario._replace(
        steps=tuple(scenario.steps[place] for place in wanted),
        step_seconds=tuple(seconds[place] for place in wanted),
    )


def _warnings(view: MachineView, targets: Sequence[_Target]) -> tuple[str, ...]:
    restored = [ImageToDisk(target.image, target.disk) for target in targets]
    mine = {capture.manifest for capture in view.captures}
    own = [each for each in restored if each.image.manifest in mine]
    return (*set_warnings(restored), *partition_warnings(own))


def _unreadable(view: MachineView, scenario: CompiledScenario) -> Refusal | None:
    """Return why backups cannot choose their disks, by disks that were seen recently enough."""
    backups = [step for step in scenario.steps if isinstance(step, BackupStep)]
    if len({step.image for step in backups}) < len(backups):
        reason = f"two steps of {scenario.name} would write one image of this machine"
        return reason, "Give each disk an image of its own"
    known = _known_disks(view)
    if not backups or not isinstance(known, TimedReport):
        return None  # the agent finds out, and reads nothing then
    from_ramdisk = known is view.seen.ramdisk
    # Disks of the network that a running system has are seldom there in the RAM system.
    disks = [disk for disk in known.report.disks if from_ramdisk or not disk.transport]
    reason = read_disks(backups, disks)
    return (reason, f"Name the disk of each backup step in {scenario.name}") if reason else None


def _refused(view: MachineView, scenario: CompiledScenario) -> Refusal | None:
    if view.machine.unsupported:
        return (
            view.machine.unsupported,
            "Set a power driver that this version acts on: wake-on-lan or manual",
        )
    if scenario.unsupported:
        return (
            f"{scenario.name}: {scenario.unsupported}",
            f"Change the options or delivery of {scenario.name} ({scenario.position})",
        )
    if view.system_is_running and scenario.reboot == "never":
        reason = f"the machine is running and scenario {scenario.name} has `reboot: never`"
        return (
            f"{reason}; shut it down first",
            "Shut the machine down, or let the scenario reboot it (`reboot: graceful`)",
        )
    return None


def _targets(
    view: MachineView, scenario: CompiledScenario
) -> dict[RestoreStep, _Target] | Refusal | str:
    """Return what each restore writes where, or as ``_target`` why that cannot be said."""
    targets: dict[RestoreStep, _Target] = {}
    for step in scenario.steps:
        if isinstance(step, UnsupportedStep):
            return (
                f"step {step.action} of {scenario.name}: {step.reason}",
                f"Take the step out of {scenario.name} ({scenario.position})",
            )
        if repairs([step]) and (kept := protected(view, scenario)):
            return kept
        if isinstance(step, RestoreStep):
            target = _target(view, scenario, step)
            if not isinstance(target, _Target):
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
    targets: dict[RestoreStep, _Target],
) -> dict[RestoreStep, _Target] | Refusal:
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


def still_to_come(at: datetime) -> str:
    """Return when something was, by a clock that has been set back since."""
    return f"at a time that is still to come ({at:%Y-%m-%d %H:%M:%S} UTC): the clock was set back"


def _target(
    view: MachineView, scenario: CompiledScenario, step: RestoreStep
) -> _Target | Refusal | str:
    """Return what a step writes where; as text why the disks have to be looked at before."""
    known = protected(view, scenario) or _known_disks(view)
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
) -> _Target | Refusal:
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
    return _Target(image, step.identity, document, disk, known.at, step.partitions, grows)


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


def _known_disks(view: MachineView) -> TimedReport | str:
    """Return what is known of the disks; as text why they have to be looked at before."""
    known = view.seen.disks
    if known is None:
        return "its disks were never seen"
    if not is_fresh(known.at, view.now, view.max_age):
        ahead = is_future(known.at, view.now)
        when = still_to_come(known.at) if ahead else f"at {known.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"its disks were last seen {when}"
    stopped = _stopped_since(view, known.at)
    if stopped is not None:
        scenario = stopped.operation.scenario
        return f"nobody knows what {scenario}, which was stopped, left on its disks"
    return known


def _stopped_since(view: MachineView, seen: datetime) -> OperationStatus | None:
    """Return work on the disks that was cancelled, or that a person says did not run, since then.

    An agent may have begun it: what was seen of the disks before says nothing of them now.
    """
    return next(
        (
            status
            for status in view.operations
            if status.state is OperationState.CANCELLED
            and status.operation.destructive
            and status.attempt > 0
            and status.at >= seen
        ),
        None,
    )


def protected(view: MachineView, scenario: CompiledScenario) -> Refusal | None:
    """Return why the machine's disks may not be written; None where they may."""
    restores = any(isinstance(step, RestoreStep) for step in scenario.steps)
    would = (
        f"{scenario.name} would {'overwrite' if restores else 'repair file systems on'} its disk"
    )
    may = "overwritten" if restores else "written"
    if view.machine.protect:
        origin = view.machine.origins.get(PROTECT)
        where = f" at {origin.position}" if origin else ""
        return (
            f"the machine is protected, and {would}",
            f"Write `protect: false`{where} instead, if the machine may be {may}",
        )
    if view.machine.protect is None and view.seen.protected_at:
        reason = f"{WAS_PROTECTED} {view.seen.protected_at}, which nothing takes back"
        return (
            f"{reason}, and {would}",
            f"Write `protect: false` for the machine, if it may be {may}",
        )
    return None


def repairs(steps: Iterable[ScenarioStep | Step]) -> bool:
    """Return whether steps write to a disk to repair what a backup then reads."""
    return any(isinstance(step, BackupStep | Backup) and step.repair for step in steps)


def _inspection(revision: str, view: MachineView, assignment: Assignment, reason: str) -> Decision:
    """Return the look at the disks that has to come first, as the run after the last such look."""
    earlier = (*view.operations, *(each.status for each in view.disputed))
    runs = [each.operation.run for each in earlier if each.operation.scenario == INSPECTION]
    last = max((int(run) for run in runs if run.isdecimal()), default=0)
    return Decision(
        risk=Risk.UNKNOWN,
        action="inspect",
        reason=reason + _interrupts(view, "now", destructive=False),
        cause=assignment.origin,
        work=Work(
            kind="inspect",
            scenario=INSPECTION,
            run=str(last + 1),
            inputs=(),
            revision=revision,
            steps=(InspectDisks(),),
            disks=(),
            proof=False,
            timeout_seconds=INSPECTION_TIMEOUT,
            limits=(),
            on_error=INSPECTION_ON_ERROR,
        ),
        observed_at=view.seen.last_seen,
    )


def _change(view: MachineView, target: _Target) -> ImageChange:
    declared = view.declared_images.get(target.document)
    system, layout = target.image.system, target.image.layout
    return ImageChange(
        name=target.image.name,
        manifest=target.image.manifest,
        used_bytes=target.image.used_bytes,
        created=target.image.created,
        replaces=image_on(target.disk.identity, view.operations),
        display_name=declared.display_name if declared else "",
        system=system.name if system else "",
        suitability_unknown=target.identity == "apply" and system is None,
        unreadable_bytes=target.image.unreadable_bytes,
        emptied=layout.omitted if layout and not target.partitions else (),
        grows=target.grows,
    )


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
    if not shrinks:
        return "Name another disk, or an image that fits it"
    from specs.types.quantities import ByteSize  # noqa: PLC0415 - most plans need none

    small = f"{image.name}-small"
    return (
        f"Name another disk, or an image that fits it: `rackwright image shrink {image.name} "
        f"{small} --to {ByteSize(size)}` makes one, {small}, if it can be made so small"
    )


def _steps(
    view: MachineView, scenario: CompiledScenario, targets: Mapping[RestoreStep, _Target]
) -> tuple[list[Step], tuple[TimeLimit, ...]]:
    """Return what the agent does, and how long what each step of the document becomes may take."""
    steps: list[Step] = []
    limits: list[TimeLimit] = []
    for step, seconds in zip(scenario.steps, chain(scenario.step_seconds, repeat(0)), strict=False):
        wire = _wire_steps(view, step, targets)
        if seconds and wire:
            limits.append(TimeLimit(len(steps), len(steps) + len(wire) - 1, seconds))
        steps += wire
    return steps, tuple(limits)


def _wire_steps(
    view: MachineView, step: ScenarioStep, targets: Mapping[RestoreStep, _Target]
) -> list[Step]:
    if isinstance(step, SystemStep | UnsupportedStep):
        return []  # another agent's, or refused before
    match step:
        case InspectDisksStep():
            return [InspectDisks()]
        case BackupStep(image, request):
            selector = DiskSelector(request.role, request.wwn, request.serial, request.path)
            backup = Backup(
                image,
                selector,
                step.mode,
                step.partitions,
                step.on_bad_sector,
                repair=step.repair,
            )
            return [backup]
        case RestoreStep():
            target = targets[step]
            written: list[Step] = [
                Restore(
                    image=target.image.name,
                    manifest=target.image.manifest,
                    disk=target.disk.identity,
                    grow=step.grow,
                    partitions=step.partitions,
                    boot_code=step.boot_code,
                )
            ]
            if target.identity == "apply":
                written.append(identity_step(view, target.disk.identity))
            return written
        case _:
            assert_never(step)


def identity_step(view: MachineView, disk: DiskIdentity) -> ApplyIdentity:
    """Return the identity step without its secrets, which come when the work is handed out."""
    machine, network = view.machine, view.network
    gateway = network.gateway if network and machine.addresses else None
    servers = network.nameservers if network and machine.addresses else ()
    return ApplyIdentity(
        disk=disk,
        hostname=machine.hostname,
        mac=machine.macs[0],
        addresses=tuple(str(address) for address in machine.addresses),
        gateway=str(gateway) if gateway else "",
        nameservers=tuple(str(server) for server in servers),
        server="",
        pin="",
        agent_token="",
        operation="",
        domain=machine.domain,
    )


def _kind(scenario: CompiledScenario) -> OperationKind:
    if any(isinstance(step, RestoreStep) for step in scenario.steps):
        return "restore"
    if any(isinstance(step, BackupStep) for step in scenario.steps):
        return "capture"
    return "inspect"


def _risk(view: MachineView, scenario: CompiledScenario, written: tuple[DiskIdentity, ...]) -> Risk:
    if written:
        return Risk.DESTRUCTIVE
    if repairs(scenario.steps):
        return Risk.DISRUPTIVE
    return Risk.SAFE if view.seen.is_idle(view.now) else Risk.DISRUPTIVE


def _reason(
    view: MachineView,
    assignment: Assignment,
    scenario: CompiledScenario,
    *,
    of_documents: bool = False,
) -> str:
    """Return what the work does, with the names of images or, for many machines, of documents."""
    does = []
    for step in scenario.steps:
        if isinstance(step, BackupStep | RestoreStep):
            verb = "captures" if isinstance(step, BackupStep) else "writes"
            image = (of_documents and step.document) or step.image
            first = f"{_REPAIRS} and then " if repairs([step]) else ""
            does.append(f"{first}{verb} image {image}{_manner(step)}")
    said = " and ".join(does) or "looks at the disks"
    restores = any(isinstance(step, RestoreStep) for step in scenario.steps)
    how = _interrupts(view, scenario.trigger, destructive=restores)
    return f"{scenario.name} run {assignment.run} {said}{how}"


_REPAIRS = "repairs file systems on the disk that were not left clean"


def _manner(step: BackupStep | RestoreStep) -> str:
    """Return what is asked for besides, as a clause: every sector, a partition that grows."""
    only = f"{counted_partitions(step.partitions)} only" if step.partitions else ""
    if isinstance(step, BackupStep):
        every = " with every sector" if step.mode == "full" else ""
        skips = step.on_bad_sector == "skip-and-mark"
        part = f" of {only}" if only else ""
        return every + part + (" without sectors that cannot be read" if skips else "")
    if only:
        return f" to {only}" + (" and the boot code" if step.boot_code else "")
    if step.grow == "none":
        return ""
    if step.grow == "last":
        return " and grows its last partition to the end of the disk"
    if "/" in step.grow:
        return f" and grows its LVM volume {step.grow} into all free space of its group"
    return f" and grows its partition {step.grow} into the free space behind it"


def _interrupts(view: MachineView, trigger: Trigger, *, destructive: bool) -> str:
    """Return what becomes of whoever uses the machine, as a clause; empty where nobody does."""
    if trigger == "next-boot":
        return " when the machine starts next"
    if view.system_is_running:
        return "; the running system is rebooted for it"
    if destructive or view.seen.is_idle(view.now):
        return ""
    return "; the machine may be in use"


def _spared(view: MachineView, targets: Collection[_Target]) -> tuple[str, ...]:
    """Return what stays as it is: partitions of the disks that are written, and other disks."""
    known = view.seen.disks
    if not targets or known is None:
        return ()
    spared = []
    for target in targets:
        numbers = [each.number for each in target.disk.partitions]
        kept = [number for number in numbers if number not in target.partitions]
        if target.partitions and kept:
            spared.append(f"{counted_partitions(kept)} of {describe(target.disk)}")
    written = {target.disk.identity for target in targets}
    others = (disk for disk in known.report.disks if disk.identity not in written)
    return (*spared, *map(describe, others))


def _facts(view: MachineView, target: _Target) -> DiskFacts:
    identity = target.disk.identity
    heard = view.seen.installed
    system = heard.installed if heard else None
    holds = target.disk.holds
    if system is not None and heard is view.seen.disks:
        # What runs there says more than its partitions, which it may lack the tools to read.
        holds = f"{system.os}, running as {system.hostname}"
    return DiskFacts(
        model=target.disk.model,
        serial=identity.serial,
        wwn=identity.wwn,
        size=identity.size,
        holds=holds,
        observed_at=target.observed_at,
        backup=last_backup(target.disk, view.operations, view.captures, view.images),
        partitions=target.partitions,
    )
