"""Scenarios and images."""

import posixpath
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from specs.compile.unsupported import STEPS, blocking
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.position import COMMAND_LINE
from specs.digest import Canonical, digest
from specs.fleet import (
    BackupStep,
    CompiledImage,
    CompiledRetention,
    CompiledScenario,
    CopiedFile,
    DiskRequest,
    FilesStep,
    InspectDisksStep,
    InstallPackagesStep,
    ListFolderStep,
    PutFileStep,
    ReadFileStep,
    RestoreStep,
    RunStep,
    ScenarioStep,
    ShowMessageStep,
    SystemStep,
    UnsupportedStep,
    UpgradeAgentStep,
)
from specs.kinds import step as kinds
from specs.kinds.image import Image, Retention
from specs.kinds.scenario import Scenario, ScenarioOptions
from specs.kinds.step import (
    Backup,
    DiskSelection,
    Files,
    InspectDisks,
    InstallPackages,
    Restore,
    Run,
    Step,
    UpgradeAgent,
)
from specs.types.secret import SecretReference
from specs.validate.resource import Resource
from specs.yaml.scalars import Plain

if TYPE_CHECKING:
    from specs.diagnostics.path import Path

_SYSTEM_STEPS = {
    RunStep: "run",
    FilesStep: "files",
    InstallPackagesStep: "packages",
    UpgradeAgentStep: "upgradeAgent",
    PutFileStep: "putFile",
    ListFolderStep: "listFolder",
    ReadFileStep: "readFile",
    ShowMessageStep: "showMessage",
}
"""Steps that the agent of the installed system does, as documents or the ledger call them."""
RESERVED = "inspection"
"""The scenario of inspections that nobody assigned: what is planned to see a machine's disks."""


def compile_images(resources: Mapping[str, Resource]) -> dict[str, CompiledImage]:
    """Return the images that can be read, by name."""
    return {
        name: _image(resource.model)
        for name, resource in resources.items()
        if isinstance(resource.model, Image)
    }


def _image(document: Image) -> CompiledImage:
    spec = document.spec
    return CompiledImage(
        description=spec.description,
        display_name=document.metadata.display_name or "",
        retention=_retention(spec.retention),
        alert_seconds=None if spec.alert_after is None else spec.alert_after.seconds,
    )


def _retention(said: Retention | None) -> CompiledRetention | None:
    if said is None:
        return None
    return CompiledRetention(said.last, said.daily, said.weekly, said.monthly)


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
            _check_systems(resource, resource.model, diagnostics)
            _check_disks(resource, resource.model, diagnostics)
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


def _check_systems(resource: Resource, model: Scenario, diagnostics: Diagnostics) -> None:
    """Report steps of the RAM system and of the installed one in one scenario."""
    names = [step.name for step in model.spec.steps]
    installed = [name in _SYSTEM_STEPS.values() for name in names]
    if len(set(installed)) < 2:  # noqa: PLR2004 - two systems
        return
    other = installed.index(not installed[0])
    where = {True: "on the installed system", False: "in the RAM system"}
    diagnostics.error(
        resource.document.position(("spec", "steps", other, names[other])),
        Code.STEPS_OF_TWO_SYSTEMS,
        f"spec.steps[{other}].{names[other]}: it is done {where[installed[other]]}, and "
        f"{names[0]} before it {where[installed[0]]}",
        "use two scenarios, and assign them in this order: the second waits for the first",
    )


def _check_disks(resource: Resource, model: Scenario, diagnostics: Diagnostics) -> None:
    """Report steps that certainly mean one disk, and backups of several disks to one image."""
    before: list[tuple[int, Backup | Restore]] = []
    images: dict[str, int] = {}
    for index, step in enumerate(model.spec.steps):
        action = step.action
        if not isinstance(action, Backup | Restore):
            continue
        place = ("spec", "steps", index, step.name)
        first = next((number for number, each in before if _mean_one_disk(each, action)), index)
        before.append((index, action))
        if first != index:
            chosen = "disk" in action.model_fields_set
            diagnostics.error(
                resource.document.position((*place, "disk") if chosen else place),
                Code.DISK_TWICE,
                f"spec.steps[{index}].{step.name}: it means the same disk as spec.steps[{first}]",
                'name each disk, for example `disk: {serial: "S3Z8NB0K123456"}`',
            )
        if not isinstance(action, Backup):
            continue
        first = images.setdefault(action.image, index)
        if first != index:
            diagnostics.error(
                resource.document.position((*place, "image")),
                Code.BACKED_UP_TWICE,
                f"spec.steps[{index}].backup.image: spec.steps[{first}] backs up another disk to "
                f"{action.image}",
                "give each disk an image of its own",
            )


def _mean_one_disk(one: Backup | Restore, other: Backup | Restore) -> bool:
    """Return whether two steps read or write the same disk; other partitions may be read of one."""
    if type(one) is not type(other) or one.disk != other.disk:
        return False
    reads = isinstance(one, Backup) and bool(one.partitions) and bool(other.partitions)
    return not (reads and set(one.partitions).isdisjoint(other.partitions))


def _compiled(resource: Resource, model: Scenario) -> CompiledScenario:
    options = model.spec.options
    steps = tuple(_step(step, resource.position.file) for step in model.spec.steps)
    in_system = any(isinstance(step, SystemStep) for step in steps)
    # A system that goes on with its work does so where nobody says otherwise.
    after = options.after if "after" in options.model_fields_set or not in_system else "stay"
    step_seconds = tuple(step.timeout.seconds if step.timeout else 0 for step in model.spec.steps)
    written = resource.document.value(("spec", "steps"))
    meaning: Canonical = {
        "after": after,
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
        trigger="next-boot" if _waits_for_start(steps) else options.trigger,
        after=after,
        timeout_seconds=options.timeout.seconds,
        digest=digest("Scenario", meaning),
        position=resource.position,
        unsupported=blocking("Scenario", resource.document),
        display_name=model.metadata.display_name or "",
        on_error=options.on_error,
        on_error_seconds=options.on_error_delay.seconds,
        step_seconds=step_seconds,
    )


def inline_scenario(
    name: str, steps: tuple[SystemStep, ...], timeout_seconds: int
) -> CompiledScenario:
    """Return what a person asked for by hand as a scenario that no document has."""
    meaning: Canonical = {
        "steps": [_canonical(step) for step in steps],
        "timeout": timeout_seconds,
    }
    return CompiledScenario(
        name=name,
        steps=steps,
        reboot="never",
        after="stay",
        timeout_seconds=timeout_seconds,
        digest=digest("Scenario", meaning),
        position=COMMAND_LINE,
    )


def inline_steps(steps: Iterable[Mapping[str, object]]) -> tuple[ScenarioStep, ...]:
    """Return steps that are written as in a document, but for places in the repository.

    pydantic's ValidationError where a step is not valid.
    """
    return tuple(_step(Step.model_validate(each), COMMAND_LINE.file) for each in steps)


def _waits_for_start(steps: tuple[ScenarioStep, ...]) -> bool:
    return any(
        isinstance(step, InstallPackagesStep) and step.when == "next-startup" for step in steps
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


def _copied(copied: kinds.CopiedFile, file: str) -> CopiedFile:
    """Return a file of the repository; its path is written relative to the document's ``file``."""
    folder = file.rpartition("/")[0]
    source = posixpath.normpath(posixpath.join(folder, copied.source))
    return CopiedFile(
        source, copied.target, copied.owner or "", copied.group or "", copied.mode or ""
    )


def _step(step: Step, file: str) -> ScenarioStep:
    action = step.action
    if isinstance(action, InspectDisks):
        return InspectDisksStep()
    if isinstance(action, Backup):
        return BackupStep(
            action.image,
            _disk(action.disk),
            mode=action.mode,
            partitions=tuple(sorted(action.partitions)),
            on_bad_sector=action.on_bad_sector,
            repair=action.repair,
        )
    if isinstance(action, Restore):
        disk, chosen = _disk(action.disk), tuple(sorted(action.partitions))
        identity = action.identity or ("keep" if chosen else "apply")
        return RestoreStep(
            action.image,
            disk,
            identity,
            grow=action.grow,
            partitions=chosen,
            boot_code=action.boot_code,
        )
    if isinstance(action, Run):
        return RunStep(
            action.command,
            action.success,
            action.timeout.seconds,
            action.silence.seconds,
            action.session,
        )
    if isinstance(action, InstallPackages):
        countdown = action.countdown.seconds if action.countdown else 0
        return InstallPackagesStep(action.install, action.when, countdown, action.skippable)
    if isinstance(action, Files):
        return FilesStep(tuple(_copied(each, file) for each in action.copy_), action.remove)
    if isinstance(action, UpgradeAgent):
        return UpgradeAgentStep(action.version or "", action.health_within.seconds)
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


def _fields(step: SystemStep) -> Canonical:
    """Return the fields of a step by their names."""
    return {name: _plain(value) for name, value in step._asdict().items()}


def _plain(value: object) -> Canonical:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    assert value is None or isinstance(value, str | int | bool)  # noqa: S101 - what steps hold
    return value


def _canonical(step: InspectDisksStep | BackupStep | RestoreStep | SystemStep) -> Canonical:
    if isinstance(step, InspectDisksStep):
        return {"inspectDisks": {}}
    if isinstance(step, SystemStep):
        return {_SYSTEM_STEPS[type(step)]: _fields(step)}
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
    if step.partitions:
        fields["partitions"] = list(step.partitions)
    if isinstance(step, BackupStep):
        if step.mode != "used":
            fields["mode"] = step.mode
        if step.on_bad_sector != "fail":
            fields["onBadSector"] = step.on_bad_sector
        if step.repair:
            fields["repair"] = True
        return {"backup": fields}
    if step.grow != "none":
        fields["grow"] = step.grow
    if step.boot_code:
        fields["bootCode"] = True
    return {"restore": {**fields, "identity": step.identity}}
