"""What is written somewhere: plain data, and the place of every value on demand."""

from typing import Protocol

from specs.diagnostics.path import Path
from specs.diagnostics.position import Position
from specs.yaml.scalars import Plain


class SourceMap(Protocol):
    """A document, or what stands for one: the row of a table."""

    @property
    def data(self) -> Plain:
        """The data in the form of a document."""

    def position(self, path: Path) -> Position:
        """Return where the value at ``path`` is written; where none is, what encloses it."""

    def key_position(self, path: Path) -> Position:
        """Return where the key of ``path`` is written."""

    def written(self, path: Path) -> str | None:
        """Return the text of a scalar as it stands in the file, without quotes."""

    def shown(self, path: Path) -> str:
        """Return the path as people find it in the file."""

    def value(self, path: Path) -> Plain:
        """Return the value at ``path``, or None where there is none."""
