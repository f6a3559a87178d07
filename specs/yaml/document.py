"""One YAML document: plain data, and the place of every value on demand."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from specs.diagnostics.path import Path, dotted
from specs.diagnostics.position import Position
from specs.yaml.builder import Place
from specs.yaml.node_positions import Mark, NodePositions
from specs.yaml.scalars import Plain, value_at
from specs.yaml.section import Section


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """The data of a document and the lines that it was read from.

    ``invalid`` are the paths of values that were reported while reading; they are
    None in ``data``. ``begin`` and ``end`` are indexes into the section's text;
    ``first_line`` is the line of ``begin`` within it, from 0.
    """

    data: Plain
    invalid: frozenset[Path]
    section: Section
    begin: int
    end: int
    first_line: int
    items: Mapping[Path, Place]
    """Where mappings in lists are written, by their path."""

    @property
    def own_section(self) -> Section:
        """Return the document's own lines."""
        first_line = self.section.first_line + self.first_line
        return Section(self.section.file, self.section.text[self.begin : self.end], first_line)

    @property
    def file(self) -> str:
        """Return the name of the file."""
        return self.section.file

    def position(self, path: Path) -> Position:
        """Return where the value at ``path`` is written; where none is, what encloses it."""
        if path and isinstance(path[-1], int):
            place = self.items.get(path)
            if place is not None:
                return self.section.position(*place)
        return self._place(_positions(self).value(path))

    def key_position(self, path: Path) -> Position:
        """Return where the key of ``path`` is written."""
        return self._place(_positions(self).key(path))

    def written(self, path: Path) -> str | None:
        """Return the text of a scalar as it stands in the file, without quotes."""
        return _positions(self).written(path)

    def value(self, path: Path) -> Plain:
        """Return the value at ``path``, or None where there is none."""
        return value_at(self.data, path)

    def shown(self, path: Path) -> str:
        """Return the path as people find it in the file."""
        return dotted(path)

    def _place(self, mark: Mark | None) -> Position:
        if mark is None:
            return self.section.position(self.first_line, 0)
        return self.section.position(self.first_line + mark.line, mark.column)


@lru_cache(maxsize=8)
def _positions(document: Document) -> NodePositions:
    """Return the positions of one of the documents that were last asked about.

    Messages come document by document, and name at most two; keeping the nodes of
    all documents would take fifty times the memory of their text.
    """
    return NodePositions(document.section.text[document.begin : document.end])
