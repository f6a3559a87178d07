"""Scenarios that pick their machines by a selector."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from specs.compile.origins import Source
from specs.compile.selectors import WrittenSelector, written_selector
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import Path, dotted
from specs.diagnostics.quote import quoted
from specs.fleet import Assignment, Origin
from specs.kinds.scenario import Scenario
from specs.validate.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One target of a scenario and the assignment that it makes."""

    written: WrittenSelector
    source: Source
    assignment: Assignment


def compile_targets(resources: Mapping[str, Resource], groups: Iterable[str]) -> tuple[Target, ...]:
    """Return the targets of all scenarios, in the order of their names."""
    targets = []
    for name, resource in resources.items():
        if not isinstance(resource.model, Scenario):
            continue
        for index, target in enumerate(resource.model.spec.targets):
            path: Path = ("spec", "targets", index)
            source = Source(resource.document, path, giver=f"scenario {name}'s target")
            targets.append(
                Target(
                    written_selector(resource, (*path, "select"), target.select, groups),
                    source,
                    Assignment(name, target.run, source.origin()),
                )
            )
    return tuple(targets)


class Conflicts:
    """Machines that would have one scenario from two places, by the two places."""

    def __init__(self) -> None:
        self._machines: dict[tuple[Target, Origin], list[str]] = {}

    def check(
        self, machine: str, assigned: Iterable[Assignment], targets: Iterable[Target]
    ) -> None:
        """Note every target of a scenario that the machine already has."""
        first = {assignment.scenario: assignment.origin for assignment in assigned}
        for target in targets:
            scenario = target.assignment.scenario
            if scenario in first:
                self._machines.setdefault((target, first[scenario]), []).append(machine)
            else:
                first[scenario] = target.assignment.origin

    def report(self, diagnostics: Diagnostics) -> None:
        """Report each pair of places once, whatever the number of machines."""
        for (target, other), machines in self._machines.items():
            others = len(machines) - 1
            have = f" and {others:,} more already have" if others else " already has"
            diagnostics.error(
                target.assignment.origin.position,
                Code.ASSIGNED_TWICE,
                f"{dotted(target.source.path)}: machine {quoted(machines[0])}{have} "
                f"{target.assignment.scenario} from {other.position}",
                "keep one of the two; to run it again, change its run token",
            )
