"""The targets that documents of scenarios have."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from specs.compiled import Assignment
from specs.definition import Definition
from specs.kinds.scenario import Scenario
from specs.origins import Source
from specs.resolve.selectors import written_selector
from specs.resolve.targets import Target

if TYPE_CHECKING:
    from specs.path import Path


def compile_targets(
    definitions: Mapping[str, Definition], groups: Iterable[str]
) -> tuple[Target, ...]:
    """Return the targets of all scenarios, in the order of their names."""
    targets = []
    for name, definition in definitions.items():
        if not isinstance(definition.model, Scenario):
            continue
        for index, target in enumerate(definition.model.spec.targets):
            path: Path = ("spec", "targets", index)
            source = Source(definition.document, path, giver=f"scenario {name}'s target")
            targets.append(
                Target(
                    written_selector(definition, (*path, "select"), target.select, groups),
                    source,
                    Assignment(name, target.run, source.origin()),
                )
            )
    return tuple(targets)
