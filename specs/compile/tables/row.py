"""One row of a machine table, which reads like a Machine document."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from specs.diagnostics.path import Path, dotted
from specs.diagnostics.position import Position
from specs.fleet import MACHINE_FIELDS
from specs.kinds import API_VERSION
from specs.yaml.scalars import Plain, value_at
from specs.yaml.source_map import SourceMap

DEFAULTS: Path = ("spec", "defaults")
"""Where a table has what its rows have in common."""

PLACES: Mapping[str, Path] = MappingProxyType(
    {field.column: field.place for field in MACHINE_FIELDS if field.said.in_rows}
)
"""The fields of a row, and where a Machine document has each."""

_FIELDS: Mapping[Path, str] = MappingProxyType({place: field for field, place in PLACES.items()})


class RowPlaces(Protocol):
    """Where a row's own fields are written."""

    def position(self, path: Path) -> Position:
        """Return where a field of the row is written; () is the row."""

    def key_position(self, path: Path) -> Position:
        """Return where its name is written."""

    def written(self, path: Path) -> str | None:
        """Return its text as it stands in the file, without quotes."""

    def full_path(self, path: Path) -> Path:
        """Return the path by which people find it in the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """The data of a Machine document made of a row and the defaults of its ``table``.

    ``own`` are the fields that the row sets itself, ``labels`` the keys of its own labels.
    """

    data: Plain
    own: frozenset[str]
    labels: frozenset[str]
    places: RowPlaces
    table: SourceMap

    def position(self, path: Path) -> Position:
        """Return where the value at ``path`` of the Machine is written; else the row."""
        mine = row_path(path)
        if self._is_default(mine):
            return self.table.position((*DEFAULTS, *mine))
        return self.places.position(mine)

    def key_position(self, path: Path) -> Position:
        """Return where the key of ``path`` is written."""
        return self.places.key_position(row_path(path))

    def written(self, path: Path) -> str | None:
        """Return the text of a scalar as it stands in the file, without quotes."""
        return self.places.written(row_path(path))

    def shown(self, path: Path) -> str:
        """Return the path as people find it in the file."""
        mine = row_path(path)
        return dotted((*DEFAULTS, *mine) if self._is_default(mine) else self.places.full_path(mine))

    def value(self, path: Path) -> Plain:
        """Return the value at ``path`` of the Machine, or None where there is none."""
        return value_at(self.data, path)

    def _is_default(self, path: Path) -> bool:
        if not path:
            return False
        if path[0] == "labels" and len(path) > 1:
            return (
                path[1] not in self.labels and self.value((*PLACES["labels"], path[1])) is not None
            )
        return path[0] not in self.own and self.value(PLACES[str(path[0])]) is not None


def row_path(path: Path) -> Path:
    """Return where a row has what a Machine document has at ``path``; () where it has none."""
    for length in (2, 3):
        field = _FIELDS.get(path[:length])
        if field is not None:
            return field, *path[length:]
    return ()


def machine_path(path: Path) -> Path:
    """Return where a Machine document has what a row has at ``path``."""
    if not path or path[0] not in PLACES:
        return ()
    return *PLACES[str(path[0])], *path[1:]


def as_machine(fields: Mapping[str, Plain]) -> dict[str, Plain]:
    """Return the Machine document that the fields make, with all its sections."""
    document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "Machine"}
    for column, place in PLACES.items():
        section = document
        for part in place[:-1]:
            section = section.setdefault(str(part), {})
        if column in fields:
            section[str(place[-1])] = fields[column]
    return document
