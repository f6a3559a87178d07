"""One document of desired state: what it declares, and its model where that is valid."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from specs.diagnostics.path import Path, is_within
from specs.diagnostics.position import Position
from specs.yaml.scalars import Plain
from specs.yaml.source_map import SourceMap

if TYPE_CHECKING:
    from specs.kinds.machine import Machine
    from specs.kinds.metadata import Document as Model


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A document with its kind and name.

    ``invalid`` are the paths that were reported already. Where it is not empty,
    ``model`` is what remains without them, or None when too little does: good enough
    for looking for further problems, never for compiling.
    """

    document: SourceMap
    kind: str
    name: str
    model: "Model | None"
    invalid: tuple[Path, ...]

    @property
    def position(self) -> Position:
        """Return where its name is written."""
        return self.document.position(("metadata", "name"))

    @property
    def machine(self) -> "Machine | None":
        """Return the model of a Machine, without loading its class; None for other kinds."""
        return cast("Machine | None", self.model) if self.kind == "Machine" else None

    def is_invalid_at(self, path: Path) -> bool:
        """Return whether the value at ``path``, a part of it or what holds it was reported."""
        return any(is_within(path, known) or is_within(known, path) for known in self.invalid)

    def values(self, pattern: tuple[str, ...]) -> Iterable[tuple[Path, Plain]]:
        """Return the valid values at a path in which ``*`` stands for every item of a list."""
        found = _matches(self.document.data, pattern)
        if not found or not self.invalid:
            return found
        return [(path, value) for path, value in found if not self.is_invalid_at(path)]

    def repeated(self, pattern: tuple[str, ...]) -> Iterator[tuple[Path, Plain, Position]]:
        """Yield each of these values that was there before, and where it is written first."""
        first: dict[object, Path] = {}
        for path, value in self.values(pattern):
            earlier = first.setdefault(value, path)
            if earlier != path:
                yield path, value, self.document.position(earlier)


def _matches(
    value: Plain, pattern: tuple[str, ...], path: Path = ()
) -> Sequence[tuple[Path, Plain]]:
    for depth, part in enumerate(pattern):
        if part == "*":
            if not isinstance(value, tuple):
                return ()
            here, rest = (*path, *pattern[:depth]), pattern[depth + 1 :]
            return [
                each
                for index, item in enumerate(value)
                for each in _matches(item, rest, (*here, index))
            ]
        if not isinstance(value, dict) or part not in value:
            return ()
        value = value[part]
    return (((*path, *pattern), value),)
