"""Scenarios and images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specs.compile.unsupported import STEPS, blocking
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.digest import Canonical, digest
from specs.fleet import (
    BackupStep,
    CompiledImage,
    CompiledScenario,
    DiskRequest,
    InspectDisksStep,
    RestoreStep,
    ScenarioStep,
    UnsupportedStep,
)
from specs.kinds.image import Image
from specs.kinds.scenario import Scenario, ScenarioOptions
from specs.kinds.step import Backup, DiskSelection, InspectDisks, Restore, Step
from specs.types.secret import SecretReference
from specs.validate.resource import Resource
from specs.yaml.scalars import Plain

if TYPE_CHECKING:
    from specs.diagnostics.path import Path

RESERVED = "inspection"
"""The scenario of inspections that nobody assigned: what is planned to see a machine's disks."""


def compile_images(resources: Mapping[str, Resource]) -> dict[str, CompiledImage]:
    """Return the images that can be read, by name."""
    return {
        name: CompiledImage(
            resource.model.spec.description, resource.model.metadata.display_name or ""
        )
        for name, resource in resources.items()
        if isinstance(resource.model, Image)
    }


def compile_scenarios(
    resources: Mapping[str, Resource], diagnostics: Diagnostics
) -> dict[str, CompiledScenario]:
    """Return the scenarios that can be read, by name; report those that contradict themselves."""
    scenarios: dict[str, CompiledScenario] = {}
    for name, resource in resources.items():
        if name == RESERVED:
            _report_reserved(resource, diagnostics)
        if isinstance(resource.model, Scenario):
            _check_images(resource, diagnostics)
            scenarios[name] = _compiled(resource, resource.model)
    return scenarios


def _report_reserved(resource: Resource, diagnostics: Diagnostics) -> None:
    diagnostics.error(
        resource.position,
        Code.NAME_RESERVED,
        f"metadata.name: {RESERVED} is what Rackwright calls the inspections that it plans by "
        "itself",
        "give the scenario another name, for example inspect-disks",
    )


def _check_images(resource: Resource, diagnostics: Diagnostics) -> None:
    """Report an image that is backed up and restored by one scenario.

    Looks at the data, so that a step with another problem still counts.
    """
    places: dict[str, list[tuple[str, Path]]] = {}
    for action in ("backup", "restore"):
        for path, image in resource.values(("spec", "steps", "*", action, "image")):
            if isinstance(image, str):
                places.setdefault(image, []).append((action, path))
    for image, uses in places.items():
        first = dict(reversed(uses))
        if len(first) == 1:
            continue
        (_, earlier), (action, later) = sorted(first.items(), key=lambda use: use[1][2])
        diagnostics.error(
            resource.document.position(later),
            Code.BACKUP_AND_RESTORE,
            f"spec.steps[{later[2]}].{action}.image: {image} is backed up and restored by one "
            f"scenario, first at {resource.document.position(earlier)}",
            "use two scenarios, or two images",
        )


def _compiled(resource: Resource, model: Scenario) -> CompiledScenario:
    options = model.spec.options
    steps = tuple(_step(step) for step in model.spec.steps)
    step_seconds = tuple(step.timeout.seconds if step.timeout else 0 for step in model.spec.steps)
    written = resource.document.value(("spec", "steps"))
    meaning: Canonical = {
        "after": options.after,
        "reboot": options.reboot,
        "steps": [
            _as_written(plain) if isinstance(step, UnsupportedStep) else _canonical(step)
            for step, plain in zip(
                steps, written if isinstance(written, tuple) else (), strict=False
            )
        ],
        "timeout": options.timeout.seconds,
        **_unusual(options, step_seconds),
    }
    return CompiledScenario(
        name=resource.name,
        steps=steps,
        reboot=options.reboot,
        trigger=options.trigger,
        after=options.after,
        timeout_seconds=options.timeout.seconds,
        digest=digest("Scenario", meaning),
        position=resource.position,
        unsupported=blocking("Scenario", resource.document),
        display_name=model.metadata.display_name or "",
        on_error=options.on_error,
        on_error_seconds=options.on_error_delay.seconds,
        step_seconds=step_seconds,
    )


def _unusual(options: ScenarioOptions, step_seconds: tuple[int, ...]) -> dict[str, Canonical]:
    """Return what is not as it is where nobody says anything: digests of before then stay."""
    usual = ScenarioOptions()
    meaning: dict[str, Canonical] = {}
    if options.on_error != usual.on_error:
        meaning["onError"] = options.on_error
    if options.on_error_delay != usual.on_error_delay:
        meaning["onErrorDelay"] = options.on_error_delay.seconds
    if any(step_seconds):
        meaning["stepTimeouts"] = list(step_seconds)
    return meaning


def _step(step: Step) -> ScenarioStep:
    action = step.action
    if isinstance(action, InspectDisks):
        return InspectDisksStep()
    if isinstance(action, Backup):
        return BackupStep(action.image, _disk(action.disk))
    if isinstance(action, Restore):
        return RestoreStep(action.image, _disk(action.disk), action.identity)
    return UnsupportedStep(step.name, STEPS[step.name])


def _disk(disk: DiskSelection) -> DiskRequest:
    return DiskRequest(disk.role, disk.wwn or "", disk.serial or "", disk.path or "")


def _as_written(value: Plain) -> Canonical:
    """Return what a document says in a form that can be hashed; a secret by its name only."""
    if isinstance(value, dict):
        return {key: _as_written(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_as_written(part) for part in value]
    if isinstance(value, SecretReference):
        return {"!secret": value.name}
    return repr(value) if isinstance(value, float) else value


def _canonical(step: InspectDisksStep | BackupStep | RestoreStep) -> Canonical:
    if isinstance(step, InspectDisksStep):
        return {"inspectDisks": {}}
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
