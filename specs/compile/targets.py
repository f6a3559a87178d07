"""Scenarios that pick their machines by a selector."""

from collections.abc import Iterable
from dataclasses import dataclass

from specs.compile.origins import Source
from specs.compile.written_selector import WrittenSelector
from specs.diagnostics.codes import Code
from specs.diagnostics.collector import Diagnostics
from specs.diagnostics.path import Path, dotted
from specs.diagnostics.quote import quoted
from specs.fleet import Assignment, Origin


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One target of a scenario and the assignment that it makes."""

    written: WrittenSelector
    source: Source
    assignment: Assignment

    @property
    def path(self) -> Path:
        """Return where the scenario's document has it."""
        return self.source.path


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
                f"{dotted(target.path)}: machine {quoted(machines[0])}{have} "
                f"{target.assignment.scenario} from {other.position}",
                "keep one of the two; to run it again, change its run token",
            )
