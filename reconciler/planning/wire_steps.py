"""From the steps of a scenario to those that one machine's agent runs."""

from collections.abc import Mapping
from itertools import chain, repeat
from typing import assert_never

from agent.wire.disk import DiskIdentity, DiskSelector
from agent.wire.step import ApplyIdentity, Backup, InspectDisks, Restore, Step
from agent.wire.work import TimeLimit
from reconciler.planning.disk_sets import in_safe_order
from reconciler.planning.machine_view import MachineView
from reconciler.planning.restore_targets import RestoreTarget
from specs.fleet import (
    BackupStep,
    CompiledScenario,
    InspectDisksStep,
    RestoreStep,
    ScenarioStep,
    SystemStep,
    UnsupportedStep,
)


def in_safe_places(
    scenario: CompiledScenario, targets: Mapping[RestoreStep, RestoreTarget]
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


def wire_steps(
    view: MachineView, scenario: CompiledScenario, targets: Mapping[RestoreStep, RestoreTarget]
) -> tuple[list[Step], tuple[TimeLimit, ...]]:
    """Return what the agent does, and how long what each step of the document becomes may take."""
    steps: list[Step] = []
    limits: list[TimeLimit] = []
    for step, seconds in zip(scenario.steps, chain(scenario.step_seconds, repeat(0)), strict=False):
        wire = _steps_of(view, step, targets)
        if seconds and wire:
            limits.append(TimeLimit(len(steps), len(steps) + len(wire) - 1, seconds))
        steps += wire
    return steps, tuple(limits)


def _steps_of(
    view: MachineView, step: ScenarioStep, targets: Mapping[RestoreStep, RestoreTarget]
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
