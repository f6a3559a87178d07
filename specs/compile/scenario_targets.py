"""The targets that documents of scenarios have."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from specs.compile.origins import Source
from specs.compile.selectors import written_selector
from specs.compile.targets import Target
from specs.fleet import Assignment
from specs.kinds.scenario import Scenario
from specs.validate.resource import Resource

if TYPE_CHECKING:
    from specs.diagnostics.path import Path


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
