"""Assignments of scenarios."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from specs.code import Code
from specs.compiled import Assignment
from specs.definition import Definition
from specs.origins import Source
from specs.problems import Problems
from specs.written import Written

if TYPE_CHECKING:
    from specs.kinds.assignment import ScenarioAssignment
    from specs.path import Path

_SCENARIO = ("spec", "assign", "*", "scenario")


def check_assignments(definitions: Iterable[Definition], problems: Problems) -> None:
    """Report every scenario that one list assigns twice."""
    for definition in definitions:
        first: dict[object, Path] = {}
        for path, scenario in definition.values(_SCENARIO):
            earlier = first.setdefault(scenario, path)
            if earlier != path:
                problems.error(
                    definition.document.position(path),
                    Code.ASSIGNED_TWICE,
                    f"{definition.document.shown(path)}: {scenario} is already assigned at "
                    f"{definition.document.position(earlier)}",
                    "keep one of the two; to run it again, change its run token",
                )


def compiled(
    assign: "tuple[ScenarioAssignment, ...]", document: Written, groups: tuple[str, ...]
) -> tuple[Assignment, ...]:
    """Return the assignments that ``document`` makes, inherited along ``groups``."""
    return tuple(
        Assignment(
            scenario=assignment.scenario,
            run=assignment.run,
            origin=Source(document, ("spec", "assign", index), groups).origin(),
        )
        for index, assignment in enumerate(assign)
    )
