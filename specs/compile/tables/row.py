"""One row of a machine table, which reads like a Machine document."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from specs.diagnostics.path import Path
from specs.diagnostics.position import Position
from specs.kinds.record import API_VERSION
from specs.yaml.scalars import Plain, value_at

PLACES: Mapping[str, Path] = MappingProxyType(
    {
        "name": ("metadata", "name"),
        "labels": ("metadata", "labels"),
        "macs": ("spec", "hardware", "macs"),
        "uuid": ("spec", "hardware", "uuid"),
        "serial": ("spec", "hardware", "serial"),
        "formerly": ("spec", "hardware", "formerly"),
        "hostname": ("spec", "identity", "hostname"),
        "domain": ("spec", "identity", "domain"),
        "addresses": ("spec", "identity", "addresses"),
        "group": ("spec", "group"),
        "network": ("spec", "network"),
        "power": ("spec", "power"),
        "protect": ("spec", "protect"),
    }
)
"""The fields of a row, and where a Machine document has each."""

_FIELDS: Mapping[Path, str] = MappingProxyType({place: field for field, place in PLACES.items()})
_SECTIONS = {
    section: tuple(field for field, place in PLACES.items() if place[1:-1] == (section,))
    for section in ("hardware", "identity")
}
_DIRECT = tuple(field for field, place in PLACES.items() if place[:-1] == ("spec",))


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

    def default_path(self, path: Path) -> Path:
        """Return the path of the table's default for it."""

    def default_position(self, path: Path) -> Position:
        """Return where the table's default for it is written."""

    def shown(self, path: Path) -> str:
        """Return a path of ``full_path`` or ``default_path`` for people."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """The data of a Machine document made of a row and the defaults of its table.

    ``own`` are the fields that the row sets itself, ``labels`` the keys of its own labels.
    """

    data: Plain
    own: frozenset[str]
    labels: frozenset[str]
    places: RowPlaces

    def position(self, path: Path) -> Position:
        """Return where the value at ``path`` of the Machine is written; else the row."""
        mine = row_path(path)
        if self._is_default(mine):
            return self.places.default_position(mine)
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
        if self._is_default(mine):
            return self.places.shown(self.places.default_path(mine))
        return self.places.shown(self.places.full_path(mine))

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
    """Return the Machine document that the fields make."""
    spec: dict[str, Plain] = {name: fields[name] for name in _DIRECT if name in fields}
    for section, names in _SECTIONS.items():
        spec[section] = {name: fields[name] for name in names if name in fields}
    metadata = {name: fields[name] for name in ("name", "labels") if name in fields}
    return {"apiVersion": API_VERSION, "kind": "Machine", "metadata": metadata, "spec": spec}
