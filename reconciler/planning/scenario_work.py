"""The work that a scenario is for one machine, or why there is none yet."""

from collections.abc import Collection, Sequence

from agent.wire.disk import DiskIdentity
from agent.wire.imaged_layout import counted_partitions
from agent.wire.step import Finish, InspectDisks
from agent.wire.work import OnError
from reconciler.planning.decision import Decision, Work, blocked
from reconciler.planning.disk_sets import ImageToDisk, partition_warnings, set_warnings
from reconciler.planning.disks import describe, image_on, last_backup, read_disks
from reconciler.planning.estimate import restore_seconds
from reconciler.planning.item import DiskFacts, ImageChange, Risk
from reconciler.planning.machine_view import MachineView, Refusal, known_disks
from reconciler.planning.protection import repairs
from reconciler.planning.reasons import interruption, reason_of
from reconciler.planning.restore_targets import RestoreTarget, restore_targets
from reconciler.planning.wire_steps import in_safe_places, wire_steps
from reconciler.state.observed import TimedReport
from reconciler.state.operation import INSPECTION, OperationKind
from specs.fleet import Assignment, BackupStep, CompiledScenario, RestoreStep

INSPECTION_TIMEOUT = 30 * 60
INSPECTION_ON_ERROR = OnError("local-boot", 60)


def work_for(
    revision: str, view: MachineView, assignment: Assignment, scenario: CompiledScenario
) -> Decision:
    """Return the work of ``scenario`` on this machine, or why there is none yet."""
    targets = (
        _refused(view, scenario) or _unreadable(view, scenario) or restore_targets(view, scenario)
    )
    if isinstance(targets, str):
        return _inspection(revision, view, assignment, targets)
    if isinstance(targets, tuple):
        reason, unblock = targets
        return blocked(assignment, reason, view.seen.last_seen, unblock)
    written = tuple(target.disk.identity for target in targets.values())
    scenario = in_safe_places(scenario, targets)
    in_turn = [targets[step] for step in scenario.steps if isinstance(step, RestoreStep)]
    images = tuple(_change(view, target) for target in in_turn)
    steps, limits = wire_steps(view, scenario, targets)
    kind = _kind(scenario)
    reason = reason_of(view, assignment, scenario)
    general = reason_of(view, assignment, scenario, of_documents=True)
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


def _unreadable(view: MachineView, scenario: CompiledScenario) -> Refusal | None:
    """Return why backups cannot choose their disks, by disks that were seen recently enough."""
    backups = [step for step in scenario.steps if isinstance(step, BackupStep)]
    if len({step.image for step in backups}) < len(backups):
        reason = f"two steps of {scenario.name} would write one image of this machine"
        return reason, "Give each disk an image of its own"
    known = known_disks(view)
    if not backups or not isinstance(known, TimedReport):
        return None  # the agent finds out, and reads nothing then
    from_ramdisk = known is view.seen.ramdisk
    # Disks of the network that a running system has are seldom there in the RAM system.
    disks = [disk for disk in known.report.disks if from_ramdisk or not disk.transport]
    reason = read_disks(backups, disks)
    return (reason, f"Name the disk of each backup step in {scenario.name}") if reason else None


def _inspection(revision: str, view: MachineView, assignment: Assignment, reason: str) -> Decision:
    """Return the look at the disks that has to come first, as the run after the last such look."""
    earlier = (*view.operations, *(each.status for each in view.disputed))
    runs = [each.operation.run for each in earlier if each.operation.scenario == INSPECTION]
    last = max((int(run) for run in runs if run.isdecimal()), default=0)
    return Decision(
        risk=Risk.UNKNOWN,
        action="inspect",
        reason=reason + interruption(view, "now", destructive=False),
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


def _warnings(view: MachineView, targets: Sequence[RestoreTarget]) -> tuple[str, ...]:
    restored = [ImageToDisk(target.image, target.disk) for target in targets]
    mine = {capture.manifest for capture in view.captures}
    own = [each for each in restored if each.image.manifest in mine]
    return (*set_warnings(restored), *partition_warnings(own))


def _change(view: MachineView, target: RestoreTarget) -> ImageChange:
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


def _spared(view: MachineView, targets: Collection[RestoreTarget]) -> tuple[str, ...]:
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


def _facts(view: MachineView, target: RestoreTarget) -> DiskFacts:
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
