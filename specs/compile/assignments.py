"""Assignments of scenarios."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from specs.compile.origins import Source
from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.fleet import Assignment
from specs.validate.resource import Resource
from specs.yaml.source_map import SourceMap

if TYPE_CHECKING:
    from specs.kinds.machine import ScenarioAssignment

_SCENARIO = ("spec", "assign", "*", "scenario")


def check_assignments(resources: Iterable[Resource], diagnostics: Diagnostics) -> None:
    """Report every scenario that one list assigns twice."""
    for resource in resources:
        for path, scenario, earlier in resource.repeated(_SCENARIO):
            diagnostics.error(
                resource.document.position(path),
                Code.ASSIGNED_TWICE,
                f"{resource.document.shown(path)}: {scenario} is already assigned at {earlier}",
                "keep one of the two; to run it again, change its run token",
            )


def compiled(
    assign: "tuple[ScenarioAssignment, ...]", document: SourceMap, groups: tuple[str, ...]
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
