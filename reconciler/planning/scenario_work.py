"""From a scenario to the steps that one machine's agent will run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

from agent.wire.disk import Disk, DiskIdentity, DiskSelector
from agent.wire.step import ApplyIdentity, Backup, Finish, InspectDisks, Restore, Step
from reconciler.planning.disk_choice import choose_disk, describe
from reconciler.planning.disk_history import image_on, last_backup
from reconciler.planning.estimate import restore_seconds
from reconciler.planning.item import DiskFacts, ImageChange, Risk
from reconciler.state.observed import Capture, ObservedImage, ObservedMachine
from reconciler.state.operation import OperationKind, OperationStatus
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
    UnsupportedStep,
)

CONTACT_MAX_AGE = 40
"""Seconds after which an agent that asked for work is no longer taken to be there: it asks
at least every 25."""


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
    """What the repository says of images, by name."""

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
        return all(at is None or at < heard.at for at in later)


@dataclass(frozen=True, slots=True)
class Blocked:
    """The work cannot be planned; a person or another operation must act."""

    reason: str
    unblock: str
    """What a person can do about it, as a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The work cannot be planned before the machine's disks are known."""

    reason: str


@dataclass(frozen=True, slots=True)
class ScenarioWork:
    """The planned work."""

    kind: OperationKind
    risk: Risk
    reason: str
    steps: tuple[Step, ...]
    disks: tuple[DiskIdentity, ...]
    facts: tuple[DiskFacts, ...]
    spared: tuple[str, ...]
    images: tuple[ImageChange, ...]
    seconds: int
    """Estimate; 0 where there is nothing to go by."""
    proof: bool
    """A system with an identity of its own boots afterwards, and its agent must say so."""


@dataclass(frozen=True, slots=True)
class _Target:
    """One restore, decided: this image onto this disk."""

    step: RestoreStep
    image: ObservedImage
    disk: Disk
    observed_at: datetime


def work_for(
    view: MachineView, assignment: Assignment, scenario: CompiledScenario
) -> ScenarioWork | Blocked | Incomplete:
    """Return the work of ``scenario`` on this machine, or why there is none yet."""
    if view.machine.unsupported:
        return Blocked(
            view.machine.unsupported,
            "Set a power driver that this version acts on: wake-on-lan or manual",
        )
    if scenario.unsupported:
        return Blocked(
            f"{scenario.name}: {scenario.unsupported}",
            f"Change the options or delivery of {scenario.name} ({scenario.position})",
        )
    if view.system_is_running and scenario.reboot == "never":
        return Blocked(
            f"the machine is running and scenario {scenario.name} has `reboot: never`; "
            "shut it down first",
            "Shut the machine down, or let the scenario reboot it (`reboot: graceful`)",
        )
    targets: dict[RestoreStep, _Target] = {}
    for step in scenario.steps:
        if isinstance(step, UnsupportedStep):
            return Blocked(
                f"step {step.action} of {scenario.name}: {step.reason}",
                f"Take the step out of {scenario.name} ({scenario.position})",
            )
        if isinstance(step, RestoreStep):
            target = _target(view, scenario, step)
            if not isinstance(target, _Target):
                return target
            targets[step] = target
    steps: list[Step] = []
    for step in scenario.steps:
        steps += _wire_steps(view, step, targets)
    written = tuple(target.disk.identity for target in targets.values())
    if len(set(written)) < len(written):
        return Blocked(
            f"two steps of {scenario.name} would write the same disk",
            "Name another disk in one of the steps, by its serial or wwn",
        )
    return ScenarioWork(
        kind=_kind(scenario),
        risk=_risk(view, written),
        reason=_reason(view, assignment, scenario),
        steps=(*steps, Finish(scenario.after)),
        disks=written,
        facts=tuple(_facts(view, target) for target in targets.values()),
        spared=_spared(view, written),
        images=tuple(_change(view, target) for target in targets.values()),
        seconds=restore_seconds(sum(target.image.used_bytes for target in targets.values()))
        if targets
        else 0,
        proof=scenario.after == "reboot" and any(step.identity == "apply" for step in targets),
    )


def _target(
    view: MachineView, scenario: CompiledScenario, step: RestoreStep
) -> _Target | Blocked | Incomplete:
    kept = protected(view, scenario)
    if kept is not None:
        return kept
    known = view.seen.disks
    if known is None:
        return Incomplete("its disks were never seen")
    if view.now - known.at > view.max_age:
        return Incomplete(f"its disks were last seen at {known.at:%Y-%m-%d %H:%M:%S} UTC")
    image = view.images.get(step.image)
    if image is None:
        return Blocked(
            f"image {step.image} has not been captured yet",
            f"Capture it: a scenario with `backup: {{image: {step.image}}}` on a golden machine",
        )
    if not image.usable:
        return Blocked(
            f"image {image.name} is not usable: {image.problem}",
            "Repair the golden machine and capture the image again, with a new run token",
        )
    disk = choose_disk(step.disk, known.report.disks)
    if isinstance(disk, str):
        return Blocked(disk, f"Name the disk in {scenario.name}, or repair it in the machine")
    misfit = _misfit(image, disk)
    if misfit:
        return Blocked(misfit, "Name another disk, or an image that fits it")
    return _Target(step, image, disk, known.at)


def protected(view: MachineView, scenario: CompiledScenario) -> Blocked | None:
    """Return why the machine's disks may not be overwritten; None where they may."""
    if view.machine.protect:
        return Blocked(
            f"the machine is protected, and {scenario.name} would overwrite its disk",
            _unprotect(view.machine),
        )
    if view.machine.protect is None and view.seen.protected_at:
        return Blocked(
            f"the machine was protected at {view.seen.protected_at}, which nothing takes back, "
            f"and {scenario.name} would overwrite its disk",
            "Write `protect: false` for the machine, if it may be overwritten",
        )
    return None


def _unprotect(machine: CompiledMachine) -> str:
    origin = machine.origins.get(PROTECT)
    where = f" at {origin.position}" if origin else ""
    return f"Write `protect: false`{where} instead, if the machine may be overwritten"


def _change(view: MachineView, target: _Target) -> ImageChange:
    declared = view.declared_images.get(target.image.name)
    return ImageChange(
        name=target.image.name,
        manifest=target.image.manifest,
        used_bytes=target.image.used_bytes,
        created=target.image.created,
        replaces=image_on(target.disk.identity, view.operations),
        display_name=declared.display_name if declared else "",
    )


def _misfit(image: ObservedImage, disk: Disk) -> str:
    if disk.identity.size < image.disk_size:
        return (
            f"disk {describe(disk)} has {disk.identity.size} bytes, "
            f"image {image.name} needs {image.disk_size}"
        )
    if disk.sector_size != image.sector_size:
        return (
            f"disk {describe(disk)} has sectors of {disk.sector_size} bytes, "
            f"image {image.name} has {image.sector_size}"
        )
    return ""


def _wire_steps(
    view: MachineView, step: ScenarioStep, targets: Mapping[RestoreStep, _Target]
) -> list[Step]:
    match step:
        case InspectDisksStep():
            return [InspectDisks()]
        case BackupStep(image, request):
            selector = DiskSelector(request.role, request.wwn, request.serial, request.path)
            return [Backup(image, selector)]
        case RestoreStep(identity=identity):
            target = targets[step]
            written: list[Step] = [
                Restore(target.image.name, target.image.manifest, target.disk.identity)
            ]
            if identity == "apply":
                written.append(identity_step(view, target.disk.identity))
            return written
        case UnsupportedStep():
            return []  # work_for refused the scenario before
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


def _risk(view: MachineView, written: tuple[DiskIdentity, ...]) -> Risk:
    if written:
        return Risk.DESTRUCTIVE
    return Risk.DISRUPTIVE if view.system_is_running else Risk.SAFE


def _reason(view: MachineView, assignment: Assignment, scenario: CompiledScenario) -> str:
    does = []
    for step in scenario.steps:
        if isinstance(step, BackupStep):
            does.append(f"captures image {step.image}")
        elif isinstance(step, RestoreStep):
            does.append(f"writes image {step.image}")
    how = "; the running system is rebooted for it" if view.system_is_running else ""
    said = " and ".join(does) or "looks at the disks"
    return f"{scenario.name} run {assignment.run} {said}{how}"


def _spared(view: MachineView, written: tuple[DiskIdentity, ...]) -> tuple[str, ...]:
    known = view.seen.disks
    if not written or known is None:
        return ()
    return tuple(describe(disk) for disk in known.report.disks if disk.identity not in written)


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
    )
