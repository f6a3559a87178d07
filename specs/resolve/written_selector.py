"""A selector in a document."""

from dataclasses import dataclass

from specs.compiled import CompiledSelector
from specs.definition import Definition
from specs.path import Path
from specs.selection import Selection


@dataclass(frozen=True, slots=True, eq=False)
class WrittenSelector:
    """A selector where it stands."""

    definition: Definition
    path: Path
    selector: CompiledSelector
    selection: Selection
