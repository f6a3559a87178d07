"""A selector in a document."""

from dataclasses import dataclass

from specs.diagnostics.path import Path
from specs.fleet import CompiledSelector
from specs.selection import Selection
from specs.validate.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class WrittenSelector:
    """A selector where it stands."""

    resource: Resource
    path: Path
    selector: CompiledSelector
    selection: Selection
