"""Where values come from, worked out when somebody asks."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from specs.diagnostics.path import Path
from specs.fleet import MACHINE_FIELDS, Origin
from specs.yaml.source_map import SourceMap


class Source(NamedTuple):
    """A value in a document, and the groups that it was inherited along, root first."""

    document: SourceMap
    path: Path
    groups: tuple[str, ...] = ()
    giver: str = ""
    """What gave it where neither the machine nor a group did."""

    def origin(self) -> Origin:
        """Return the place for people."""
        return Origin(self.document.position(self.path), self.groups, self.giver)

    def below(self, group: str) -> "Source":
        """Return the source of what ``group`` inherits from here."""
        return self._replace(groups=(*self.groups, group))


Sources = Mapping[str, Source]
"""Where the values of fields come from, by their names in documents."""

Fields = tuple[tuple[str, ...], Sources]
"""The fields that a machine's own document sets, and the sources of those it inherits."""


class Origins(Mapping[str, Origin]):
    """The origins of one machine's fields, by their names in documents.

    ``fields`` tells them when somebody asks, and finding a place parses a document
    again: a fleet has hundreds of thousands of fields, of which people ask for a handful.
    """

    def __init__(self, document: SourceMap, fields: Callable[[], Fields]) -> None:
        self._document = document
        self._ask = fields

    @cached_property
    def _fields(self) -> Fields:
        return self._ask()

    def __getitem__(self, field: str) -> Origin:
        own, inherited = self._fields
        if field in own:
            return Source(self._document, _path(field)).origin()
        return inherited[field].origin()

    def __iter__(self) -> Iterator[str]:
        own, inherited = self._fields
        yield from own
        yield from inherited

    def __len__(self) -> int:
        own, inherited = self._fields
        return len(own) + len(inherited)

    def __repr__(self) -> str:
        return f"Origins({dict(self)!r})"


def assign_field(index: int) -> str:
    """Return the name of one assignment's field."""
    return f"assign[{index}]"


def is_assign_field(field: str) -> bool:
    """Return whether a field is one assignment."""
    return field.startswith("assign[")


def label_field(key: str) -> str:
    """Return the name of one label's field."""
    return f"labels.{key}"


_PATHS: Mapping[str, Path] = {field.name: field.path for field in MACHINE_FIELDS}


def _path(field: str) -> Path:
    """Return where a machine's document has a field."""
    if field.startswith("labels."):
        return "metadata", "labels", field.removeprefix("labels.")
    if is_assign_field(field):
        return "spec", "assign", int(field[len("assign[") : -1])
    return _PATHS.get(field) or ("spec", *field.split("."))
