"""Values of documents that a branch changed, with the lines on which it did."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from specs.diagnostics.path import Path
from specs.diagnostics.position import Position
from specs.types.secret import SecretReference

if TYPE_CHECKING:
    from reconciler.compiled.changed_documents import ChangedDocuments, Name
    from specs.yaml.scalars import Plain
    from specs.yaml.source_map import SourceMap

_NAME: Path = ("metadata", "name")
_ABSENT = "not set"
_LONGEST = 60
"""Characters of a value that are shown."""


class ChangedValue(NamedTuple):
    """One value of a document that differs."""

    kind: str
    name: str
    path: Path
    """In the document; () is all of it."""
    shown: str
    """The path as people find it in the file."""
    position: Position
    is_removed: bool
    """The position is one of the base: the branch has no such line any more."""
    before: str
    after: str

    @property
    def document(self) -> str:
        """Return what it is a value of, as people say it."""
        return f"{self.kind} {self.name}".rstrip()

    @property
    def says(self) -> str:
        """Return the value and how it changed, without its document."""
        if not self.path:
            return "is removed" if self.is_removed else "is new"
        return f"{self.shown}: {self.before} → {self.after}"


class ChangedValues:
    """Finds what differs in the documents of two revisions."""

    def __init__(self, before: "ChangedDocuments", after: "ChangedDocuments") -> None:
        self._before = before
        self._after = after
        self._known: dict[tuple[str, str, Path], ChangedValue | None] = {}

    @property
    def names(self) -> "Iterable[Name]":
        """The documents in which something may differ, but for rows of CSV files."""
        return sorted({*self._before.names, *self._after.names})

    def first(self, kind: str, name: str, path: Path) -> ChangedValue | None:
        """Return the first value at or below a path that the branch changed; None without one."""
        if kind == "Machine":  # seldom asked for twice
            return next(self.all(kind, name, path), None)
        key = kind, name, path
        if key not in self._known:
            self._known[key] = next(self.all(kind, name, path), None)
        return self._known[key]

    def all(self, kind: str, name: str, path: Path = ()) -> Iterator[ChangedValue]:
        """Yield all of them, in the order of the document."""
        was, now = self._before.find(kind, name), self._after.find(kind, name)
        if not path and (was is None or now is None):
            yield from self._of_document(kind, name, was, now)
            return
        old = was.value(path) if was else None
        new = now.value(path) if now else None
        for leaf, is_removed in _differences(old, new, path):
            found = self._place(was, now, leaf, is_removed=is_removed)
            document = was if is_removed else now
            if found is not None and document is not None:
                values = (each.value(leaf) if each else None for each in (was, now))
                texts = [_text(value) for value in values]
                yield ChangedValue(kind, name, leaf, document.shown(leaf), *found, *texts)

    def is_one_sided(self, kind: str, name: str) -> bool:
        """Return whether the branch adds or removes a document as a whole."""
        known = self._before.find(kind, name), self._after.find(kind, name)
        return (known[0] is None) != (known[1] is None)

    def items_that_say(
        self, kind: str, name: str, path: Path, said: Mapping[str, str | None]
    ) -> tuple[int, ...]:
        """Return which items of a list say all of this, and are not the same on both sides.

        None is any value.
        """
        documents = self._after.find(kind, name), self._before.find(kind, name)
        values = [each.value(path) if each else None for each in documents]
        lists = [value if isinstance(value, tuple) else () for value in values]
        return tuple(
            dict.fromkeys(
                index
                for these, those in (lists, lists[::-1])
                for index, item in enumerate(these)
                if isinstance(item, dict) and item not in those and _says(item, said)
            )
        )

    def selector_labels(self, kind: str, name: str, file: str) -> frozenset[str] | None:
        """Return the labels that a document's selectors ask for; None where it is not found."""
        found: set[str] = set()
        sides = [self._after.find_in(file, kind, name), self._before.find(kind, name)]
        for document in filter(None, sides):
            spec = document.value(("spec",))
            targets = spec.get("targets") if isinstance(spec, dict) else None
            for each in (spec, *(targets if isinstance(targets, tuple) else ())):
                select = each.get("select") if isinstance(each, dict) else None
                labels = select.get("labels") if isinstance(select, dict) else None
                found.update(labels if isinstance(labels, dict) else ())
        return frozenset(found) if any(sides) else None

    def _of_document(
        self, kind: str, name: str, was: "SourceMap | None", now: "SourceMap | None"
    ) -> Iterator[ChangedValue]:
        """Yield a document that only one side has, at its name."""
        if was is now:  # neither
            return
        is_removed = now is None
        found = self._place(was, now, _NAME, is_removed=is_removed)
        if found is not None:
            texts = ("there", _ABSENT) if is_removed else (_ABSENT, "there")
            yield ChangedValue(kind, name, (), "", *found, *texts)

    def _place(
        self,
        was: "SourceMap | None",
        now: "SourceMap | None",
        path: Path,
        *,
        is_removed: bool,
    ) -> tuple[Position, bool] | None:
        """Return where the branch changed a value, and whether that line is one of the base."""
        sides = [(self._after, now, False), (self._before, was, True)]
        if is_removed:
            sides.reverse()
        (side, document, _), *_ = sides
        place = side.changed_place(document, path) if document else None
        if place is not None:
            return place, is_removed
        for side, document, is_base in sides:
            place = side.nearest_place(document, path) if document else None
            if place is not None:
                return place, is_base
        return None


def _says(item: "dict[str, Plain]", said: Mapping[str, str | None]) -> bool:
    return all(key in item and value in {None, str(item[key])} for key, value in said.items())


def _differences(old: "Plain", new: "Plain", path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the paths at which two values differ, and whether only the old one has them."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in new:
            if key in old:
                yield from _differences(old[key], new[key], (*path, key))
            else:
                yield (*path, key), False
        yield from (((*path, key), True) for key in old if key not in new)
    elif isinstance(old, tuple) and isinstance(new, tuple):
        yield from _in_lists(old, new, path)
    elif type(old) is not type(new) or old != new:
        yield path, new is None


def _in_lists(
    old: "tuple[Plain, ...]", new: "tuple[Plain, ...]", path: Path
) -> Iterator[tuple[Path, bool]]:
    """Yield what differs between the items that two lists begin and end with alike."""
    shorter = min(len(old), len(new))
    begin = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    same = range(shorter - begin)
    end = next((n for n in same if old[-1 - n] != new[-1 - n]), shorter - begin)
    if len(old) == len(new):
        for index in range(begin, len(new) - end):
            yield from _differences(old[index], new[index], (*path, index))
        return
    yield from (((*path, index), False) for index in range(begin, len(new) - end))
    yield from (((*path, index), True) for index in range(begin, len(old) - end))


def _text(value: "Plain") -> str:
    text = _whole(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _whole(value: "Plain") -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, SecretReference):
        return f"secret {value.name}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_whole(part)}' for key, part in value.items())}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_whole, value))}]"
    return str(value)
