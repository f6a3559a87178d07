"""Whether work that was approved is still what the newest accepted commit wants. Pure.

Work may wait for hours for its turn. It is compared again with the fleet when it is armed and
when its agent claims it: a document that protects, holds, changes or removes the machine
meanwhile takes the approval back.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from agent.wire.step import ApplyIdentity, Backup
from reconciler.planning.machine_view import MachineView
from reconciler.planning.planner import held_because, hold_of
from reconciler.planning.protection import protected, repairs
from reconciler.planning.restore_targets import unsigned_image
from reconciler.planning.system_work import system_inputs
from reconciler.planning.wire_steps import identity_step
from reconciler.state.observed import ObservedImage, ObservedMachine
from reconciler.state.operation import INSPECTION, Operation, operation_id
from specs.fleet import (
    BackupStep,
    CompiledFleet,
    CompiledMachine,
    CompiledScenario,
    RestoreStep,
)


def why_lapsed(  # noqa: PLR0913, PLR0917 - what is wanted, what is known, and of what
    desired: CompiledFleet,
    machine: CompiledMachine | None,
    seen: ObservedMachine,
    images: Mapping[str, ObservedImage] | None,
    operation: Operation,
    now: datetime,
) -> str:
    """Return why approved work is not wanted any more, as a clause; empty where it is.

    ``machine`` is the one that has the operation's hardware now, None where none or more than
    one has it. Without ``images`` nothing is known of them, which takes no approval back.
    """
    if machine is None:
        return "no document, or more than one, has the hardware now"
    view = MachineView(
        machine=machine,
        network=desired.networks.get(machine.network),
        seen=seen,
        operations=(),
        images=images or {},
        signed_images_only=desired.settings.signed_images_only,
        max_age=timedelta(),
        now=now,
    )
    hold = hold_of(desired, view)
    if hold is not None:
        return f"the machine is {held_because(hold)}"
    if operation.scenario == INSPECTION or operation.is_inline:
        return ""  # no document says what it does: none can change that
    unwanted = _unwanted(desired, machine, operation)
    if unwanted:
        return unwanted
    scenario = desired.scenarios.get(operation.scenario)
    if scenario is None:
        return f"there is no scenario {operation.scenario} any more"
    writes = operation.destructive or repairs(operation.instructions.steps)
    if writes and (kept := protected(view, scenario)):
        return kept[0]
    if scenario.runs_in_system:
        return _system_work_changed(desired, scenario, operation)
    restores = any(isinstance(each, RestoreStep) for each in scenario.steps)
    is_unknown = restores and images is None
    return "" if is_unknown else _changed(view, scenario.on(machine.name), operation)


def _unwanted(desired: CompiledFleet, machine: CompiledMachine, operation: Operation) -> str:
    """Return why no document asks for the operation any more; empty where one does."""
    if operation.is_by_hand:
        return ""
    if operation.schedule:
        schedule = desired.schedules.get(operation.schedule)
        selects = schedule is not None and schedule.name in machine.schedules
        if schedule is None or not selects or schedule.scenario != operation.scenario:
            return f"schedule {operation.schedule} does not run {operation.scenario} here any more"
        if operation.destructive and schedule.approved != "destructive":
            return f"schedule {schedule.name} does not say `approved: destructive` any more"
        return ""
    wanted = operation.scenario, operation.run
    if any((each.scenario, each.run) == wanted for each in machine.assignments):
        return ""
    return f"{wanted[0]} run {wanted[1]} is not assigned to the machine any more"


def _system_work_changed(
    desired: CompiledFleet, scenario: CompiledScenario, operation: Operation
) -> str:
    inputs = system_inputs(desired, scenario)
    now = operation_id(operation.hardware, scenario.name, inputs, (), operation.run)
    return "" if operation.op_id == now else f"{scenario.name} or one of its packages was changed"


def _changed(view: MachineView, scenario: CompiledScenario, operation: Operation) -> str:
    """Return what is another now than when the operation was planned; empty if nothing is."""
    instructions = operation.instructions
    manifests = []
    restores = [step for step in scenario.steps if isinstance(step, RestoreStep)]
    for restore in dict.fromkeys(restores):
        image = view.images.get(restore.image)
        if image is None or not image.usable:
            why = image.problem if image else "it is gone"
            return f"image {restore.image} cannot be restored any more: {why}"
        if unsigned := unsigned_image(image, required=view.signed_images_only):
            return unsigned[0]
        manifests.append(image.manifest)
    inputs = (scenario.digest, *manifests)
    disks = tuple(disk.key() for disk in instructions.disks)
    if operation.op_id != operation_id(
        operation.hardware, scenario.name, inputs, disks, operation.run
    ):
        return f"{scenario.name} or one of its images was changed"
    written = [step.image for step in scenario.steps if isinstance(step, BackupStep)]
    if written != [step.image for step in instructions.steps if isinstance(step, Backup)]:
        return f"the machine was renamed, and would write image {', '.join(written)} now"
    for step in instructions.steps:
        if isinstance(step, ApplyIdentity) and step != identity_step(view, step.disk):
            return "the machine's host name, addresses or network were changed"
    return ""
