"""What work does to a machine, in the words of a plan."""

from agent.wire.imaged_layout import counted_partitions
from reconciler.planning.machine_view import MachineView
from reconciler.planning.protection import repairs
from specs.fleet import Assignment, BackupStep, CompiledScenario, RestoreStep, Trigger

_REPAIRS = "repairs file systems on the disk that were not left clean"


def reason_of(
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
    how = interruption(view, scenario.trigger, destructive=restores)
    return f"{scenario.name} run {assignment.run} {said}{how}"


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


def interruption(view: MachineView, trigger: Trigger, *, destructive: bool) -> str:
    """Return what becomes of whoever uses the machine, as a clause; empty where nobody does."""
    if trigger == "next-boot":
        return " when the machine starts next"
    if view.system_is_running:
        return "; the running system is rebooted for it"
    if destructive or view.seen.is_idle(view.now):
        return ""
    return "; the machine may be in use"
