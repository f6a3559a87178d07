"""Scenarios and images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specs.code import Code
from specs.compiled import (
    BackupStep,
    CompiledImage,
    CompiledScenario,
    DiskRequest,
    InspectDisksStep,
    RestoreStep,
    ScenarioStep,
    UnsupportedStep,
)
from specs.definition import Definition
from specs.digest import Canonical, digest
from specs.kinds.image import Image
from specs.kinds.scenario import (
    Backup,
    DiskSelection,
    InspectDisks,
    Scenario,
    ScenarioSpec,
    Step,
)
from specs.problems import Problems

if TYPE_CHECKING:
    from specs.path import Path


def compile_images(definitions: Mapping[str, Definition]) -> dict[str, CompiledImage]:
    """Return the images that can be read, by name."""
    return {
        name: CompiledImage(name, definition.model.spec.description, definition.position)
        for name, definition in definitions.items()
        if isinstance(definition.model, Image)
    }


def compile_scenarios(
    definitions: Mapping[str, Definition], problems: Problems
) -> dict[str, CompiledScenario]:
    """Return the scenarios that can be read, by name; report those that contradict themselves."""
    scenarios: dict[str, CompiledScenario] = {}
    for name, definition in definitions.items():
        if isinstance(definition.model, Scenario):
            _check_images(definition, problems)
            scenarios[name] = _compiled(definition, definition.model.spec)
    return scenarios


def _check_images(definition: Definition, problems: Problems) -> None:
    """Report an image that is backed up and restored by one scenario.

    Looks at the data, so that a step with another problem still counts.
    """
    places: dict[str, list[tuple[str, Path]]] = {}
    for action in ("backup", "restore"):
        for path, image in definition.values(("spec", "steps", "*", action, "image")):
            if isinstance(image, str):
                places.setdefault(image, []).append((action, path))
    for image, uses in places.items():
        first = dict(reversed(uses))
        if len(first) == 1:
            continue
        (_, earlier), (action, later) = sorted(first.items(), key=lambda use: use[1][2])
        problems.error(
            definition.document.position(later),
            Code.BACKUP_AND_RESTORE,
            f"spec.steps[{later[2]}].{action}.image: {image} is backed up and restored by one "
            f"scenario, first at {definition.document.position(earlier)}",
            "use two scenarios, or two images",
        )


def _compiled(definition: Definition, spec: ScenarioSpec) -> CompiledScenario:
    options = spec.options
    steps = tuple(_step(step) for step in spec.steps)
    meaning: Canonical = {
        "after": options.after,
        "reboot": options.reboot,
        "steps": [_canonical(step) for step in steps],
        "timeout": options.timeout.seconds,
    }
    return CompiledScenario(
        name=definition.name,
        steps=steps,
        reboot=options.reboot,
        after=options.after,
        timeout_seconds=options.timeout.seconds,
        digest=digest("Scenario", meaning),
        position=definition.position,
    )


def _step(step: Step) -> ScenarioStep:
    action = step.action
    if isinstance(action, InspectDisks):
        return InspectDisksStep()
    if isinstance(action, Backup):
        return BackupStep(action.image, _disk(action.disk))
    return RestoreStep(action.image, _disk(action.disk), action.identity)


def _disk(disk: DiskSelection) -> DiskRequest:
    return DiskRequest(disk.role, disk.wwn or "", disk.serial or "", disk.path or "")


def _canonical(step: ScenarioStep) -> Canonical:
    if isinstance(step, InspectDisksStep):
        return {"inspectDisks": {}}
    if isinstance(step, UnsupportedStep):
        return {step.action: {}}
    disk = step.disk
    fields: dict[str, Canonical] = {
        "disk": {
            "path": disk.path,
            "role": disk.role,
            "serial": disk.serial,
            "wwn": disk.wwn,
        },
        "image": step.image,
    }
    if isinstance(step, BackupStep):
        return {"backup": fields}
    return {"restore": {**fields, "identity": step.identity}}
