"""Images that machines write: what each writes, and that no two write the same."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import Path, dotted
from specs.diagnostics.quote import quoted
from specs.fleet import CompiledMachine
from specs.kinds.scenario import Scenario
from specs.kinds.schedule import Schedule
from specs.kinds.step import Backup
from specs.types.name import MACHINE, of_machine
from specs.validate.registry import Registry
from specs.validate.resource import Resource


class WrittenImage(NamedTuple):
    """A backup step, by the image that it writes."""

    image: str
    """As the document has it."""
    scenario: Resource
    path: Path

    @property
    def place(self) -> str:
        """Return where the image is named, for people."""
        return str(self.scenario.document.position(self.path))


class WrittenImages:
    """What the scenarios of a fleet write, and which scenario each schedule runs."""

    def __init__(self, registry: Registry) -> None:
        self._of_scenarios = {
            name: found
            for name, resource in registry.of_kind("Scenario").items()
            if (found := _written_by(resource))
        }
        self._of_schedules = {
            name: resource.model.spec.action.scenario or ""
            for name, resource in registry.of_kind("Schedule").items()
            if isinstance(resource.model, Schedule)
        }

    def of(self, machine: CompiledMachine) -> dict[str, WrittenImage]:
        """Return the images that a machine writes by what is assigned to it and by schedules."""
        if not self._of_scenarios:
            return {}
        scenarios = [each.scenario for each in machine.assignments]
        scenarios += [self._of_schedules.get(name, "") for name in machine.schedules]
        found: dict[str, WrittenImage] = {}
        for scenario in scenarios:
            for each in self._of_scenarios.get(scenario, ()):
                found.setdefault(of_machine(each.image, machine.name), each)
        return found


def _written_by(resource: Resource) -> tuple[WrittenImage, ...]:
    if not isinstance(resource.model, Scenario):
        return ()
    return tuple(
        WrittenImage(step.action.image, resource, ("spec", "steps", index, "backup", "image"))
        for index, step in enumerate(resource.model.spec.steps)
        if isinstance(step.action, Backup)
    )


def check_written_images(
    machines: Iterable[CompiledMachine], written: WrittenImages, diagnostics: Diagnostics
) -> None:
    """Report every image that more than one machine would write, once, with the first two."""
    writers: dict[str, dict[str, WrittenImage]] = {}
    for machine in machines:
        for image, each in written.of(machine).items():
            writers.setdefault(image, {})[machine.name] = each
    for image, found in writers.items():
        if len(found) > 1:
            _report(image, found, diagnostics)


def _report(image: str, writers: Mapping[str, WrittenImage], diagnostics: Diagnostics) -> None:
    (name, first), (other, second), *more = writers.items()
    named, also = f"{quoted(name)} and {quoted(other)} would both", ""
    if more:
        named = f"{quoted(name)}, {quoted(other)} and {len(more):,} more would all"
    if first is not second:
        also = f", {quoted(name)} by scenario {quoted(first.scenario.name)} at {first.place}"
    diagnostics.error(
        second.scenario.document.position(second.path),
        Code.IMAGE_WRITTEN_TWICE,
        f"{dotted(second.path)}: machines {named} write image {quoted(image)}{also}",
        f'call it "{second.image}-{MACHINE}" here and in the Image document, so that each machine '
        "has an image of its own"
        if MACHINE not in first.image + second.image
        else "give one of the two images another name",
    )
