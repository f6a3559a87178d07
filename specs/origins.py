"""Where values come from, worked out when somebody asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from specs.compiled import Origin
from specs.path import Path
from specs.written import Written


@dataclass(frozen=True, slots=True)
class Source:
    """A value in a document, and the groups that it was inherited along, root first."""

    document: Written
    path: Path
    groups: tuple[str, ...] = ()

    def origin(self) -> Origin:
        """Return the place for people."""
        return Origin(self.document.position(self.path), self.groups)


class Origins(Mapping[str, Origin]):
    """The origins of one machine's fields, by their names in documents.

    ``own`` are the fields that the machine's document sets, ``inherited`` those that
    it leaves to its groups. Finding a place parses a document again: a fleet has
    hundreds of thousands of fields, of which people ask for a handful.
    """

    __slots__ = ("_document", "_inherited", "_own")

    def __init__(
        self, document: Written, own: tuple[str, ...], inherited: Mapping[str, Source]
    ) -> None:
        self._document = document
        self._own = own
        self._inherited = inherited

    def __getitem__(self, field: str) -> Origin:
        if field in self._own:
            return Source(self._document, _path(field)).origin()
        return self._inherited[field].origin()

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._inherited

    def __len__(self) -> int:
        return len(self._own) + len(self._inherited)

    def __repr__(self) -> str:
        return f"Origins({dict(self)!r})"


def assign_field(index: int) -> str:
    """Return the name of one assignment's field."""
    return f"assign[{index}]"


def label_field(key: str) -> str:
    """Return the name of one label's field."""
    return f"labels.{key}"


def _path(field: str) -> Path:
    """Return where a machine's document has a field."""
    if field.startswith("labels."):
        return "metadata", "labels", field.removeprefix("labels.")
    if field.startswith("assign["):
        return "spec", "assign", int(field[len("assign[") : -1])
    return "spec", *field.split(".")
