"""The documents that stand on the lines in which two revisions differ.

Only changed files are read, and of these only the documents on or beside changed lines: what a
branch changes is found without another look at the whole fleet.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from posixpath import dirname, join, normpath
from typing import NamedTuple

from reconciler.git.changed_lines import Lines
from specs.desired_state import is_table
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import Path
from specs.diagnostics.position import Position
from specs.yaml import Document, Section, load_section
from specs.yaml.section import MARKER, split
from specs.yaml.source_map import SourceMap

Name = tuple[str, str]
"""Kind and name; there is one Fleet, whatever its name."""
_MOST_DOCUMENTS = 20_000
"""That are kept of one side besides machines; what others say is not looked for."""
_LARGEST = 1 << 20
"""Bytes of an unchanged file that is searched for a document."""
_find_words = re.compile(r"[\w./-]+").findall
_find_kinds = re.compile(r"^kind:(.*)", re.MULTILINE).findall
_find_names = re.compile(r"^metadata:(?:\n  name: |[ ]*\{name: )([\w.-]+)", re.MULTILINE).findall
"""Of documents as people lay them out. Whether that is the kind and the name, the parser says."""


class ChangedSide(NamedTuple):
    """What differs of one revision, and its files."""

    lines: Mapping[str, Lines]
    """By the path of each file that differs."""
    read: Callable[[Iterable[str]], Mapping[str, bytes]]
    """Returns the contents of files by their paths."""


class ChangedDocuments:
    """The documents of one side."""

    def __init__(self, side: ChangedSide) -> None:
        self._side = side
        self._made: dict[Name, SourceMap] = {}
        self._machines: dict[str, Section] = {}
        """Parsed when they are asked for, and not kept: a branch may edit all of a fleet."""
        self._rows: dict[str, Callable[[], SourceMap]] = {}
        self._left: list[Section] = []
        self._tables: list[Document] = []
        self._contents = side.read(side.lines)
        for file in sorted(self._contents):
            if is_table(file):
                from specs.compile.tables.unchecked import rows_of_csv  # noqa: PLC0415 - likewise

                self._rows.update(rows_of_csv(file, self._contents[file]))
            else:
                self._read(file)

    @property
    def names(self) -> Iterable[Name]:
        """The documents that are known, but for the rows of CSV files."""
        return (*self._made, *(("Machine", name) for name in self._machines))

    def find(self, kind: str, name: str) -> SourceMap | None:
        """Return a document; None where none is known."""
        found = self._made.get((kind, name))
        if found is None and kind == "Machine":
            if name in self._rows:
                return self._rows[name]()
            if name in self._machines:
                return _documents(self._machines[name]).get((kind, name))
        return found

    def find_in(self, file: str, kind: str, name: str) -> SourceMap | None:
        """Return a document that may stand in a file that does not differ."""
        found = self.find(kind, name)
        if found is None and file and not is_table(file):
            data = self._side.read([file]).get(file, b"")
            sections = _sections(file, data) if len(data) <= _LARGEST else ()
            for section in sections:
                if name in section.text:
                    self._parse(section)
            found = self.find(kind, name)
        return found

    def changed_place(self, document: SourceMap, path: Path) -> Position | None:
        """Return the place of a value or of its key on a changed line; None where neither is."""
        for place in (document.position(path), document.key_position(path)):
            if place.line in self._side.lines.get(place.file, ()):
                return place
        return None

    def nearest_place(self, document: SourceMap, path: Path) -> Position | None:
        """Return the changed line of a document that is nearest to a value; None without one.

        A text of several lines is changed below its first one. And of lines that many documents
        have, git may call those changed that stand around the one which somebody wrote.
        """
        place = document.position(path)
        whole = document
        if not isinstance(document, Document):
            from specs.compile.tables.row import Row  # noqa: PLC0415 - slow to load

            whole = document.table if isinstance(document, Row) else document
        lines = self._side.lines.get(place.file)
        if lines is None or not isinstance(whole, Document) or whole.file != place.file:
            return None
        section = whole.own_section
        first = section.first_line + 1
        last = first + section.text.rstrip("\n").count("\n")
        line = lines.nearest(place.line, first, last)
        return None if line is None else Position(place.file, line, 1)

    def complete(self, others: "ChangedDocuments") -> None:
        """Read also what the other side has on changed lines and this one has elsewhere."""
        missing = {*others.names} - {*self.names}
        wanted = {name or kind for kind, name in missing}
        left, self._left = self._left, []
        for section in left:
            if wanted and not wanted.isdisjoint(_find_words(section.text)):
                self._parse(section)

    def add_tables(self) -> None:
        """Read the rows of all tables whose own documents differ, with their defaults."""
        if not self._tables:
            return
        from specs.compile.tables.unchecked import (  # noqa: PLC0415 - slow to load
            rows_of_csv,
            rows_of_document,
        )

        for table in self._tables:
            self._rows.update(rows_of_document(table))
            name = table.value(("spec", "csv"))
            if isinstance(name, str):
                file = normpath(join(dirname(table.file), name))
                data = self._contents.get(file) or self._side.read([file]).get(file, b"")
                self._rows.update(rows_of_csv(file, data, table))

    def _read(self, file: str) -> None:
        lines = self._side.lines[file]
        for section in _sections(file, self._contents[file]):
            first = section.first_line + 1
            if lines.touch(first, first + section.text.count("\n")):
                self._parse(section)
            else:
                self._left.append(section)

    def _parse(self, section: Section) -> None:
        kinds, names = _find_kinds(section.text), _find_names(section.text)
        if [each.strip() for each in kinds] == ["Machine"] and len(names) == 1:
            self._machines.setdefault(names[0], section)
        elif len(self._made) < _MOST_DOCUMENTS:
            for key, document in _documents(section).items():
                if key not in self._made and key[0] == "MachineTable":
                    self._tables.append(document)
                self._made.setdefault(key, document)


def changed_documents(
    before: ChangedSide, after: ChangedSide
) -> tuple[ChangedDocuments, ChangedDocuments]:
    """Return the documents of both sides; raises what reading files raises."""
    sides = ChangedDocuments(before), ChangedDocuments(after)
    sides[0].complete(sides[1])
    sides[1].complete(sides[0])
    for side in sides:
        side.add_tables()
    return sides


@lru_cache(maxsize=64)
def _documents(section: Section) -> Mapping[Name, Document]:
    """Return the documents of a section by kind and name."""
    found: dict[Name, Document] = {}
    for document in load_section(section).documents:
        kind, name = document.value(("kind",)), document.value(("metadata", "name"))
        if isinstance(kind, str) and isinstance(name, str):
            found.setdefault((kind, "" if kind == "Fleet" else name), document)
    return found


def _sections(file: str, data: bytes) -> Iterator[Section]:
    """Yield the documents of a file, or a few of them together, as texts."""
    for section in split(file, data, Diagnostics()).readable:
        begin, line = 0, section.first_line
        marks = (each.start() for each in MARKER.finditer(section.text) if each.group() == "---")
        for end in (*marks, len(section.text)):
            if end > begin:
                text = section.text[begin:end]
                yield Section(file, text, line)
                begin, line = end, line + text.count("\n")
