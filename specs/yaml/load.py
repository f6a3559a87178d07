"""Reading one file."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import DocumentEndEvent, DocumentStartEvent, Event, StreamEndEvent

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import MOST_PER_DOCUMENT, Diagnostic, Diagnostics
from specs.diagnostics.path import Path, dotted
from specs.yaml.builder import Builder, Invalid
from specs.yaml.document import Document
from specs.yaml.errors import UnreadableDocumentError, explain, unreadable_at
from specs.yaml.scalars import Plain
from specs.yaml.section import MARKER, Section, split


class LoadedFile(NamedTuple):
    """What one file holds.

    ``unreadable`` are the texts of documents that could not be parsed: a name that
    stands in one of them must not be called unknown elsewhere.
    """

    documents: tuple[Document, ...]
    unreadable: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]


def load_file(file: str, data: bytes) -> LoadedFile:
    """Return the documents of a file; raises nothing, whatever the bytes are."""
    diagnostics = Diagnostics()
    sections = split(file, data, diagnostics)
    return _loaded(sections.readable, list(sections.unreadable), diagnostics)


def load_section(section: Section) -> LoadedFile:
    """Return the documents of some lines of a file, as a document's ``own_section`` has them."""
    return _loaded((section,), [], Diagnostics())


def _loaded(
    sections: Iterable[Section], unreadable: list[str], diagnostics: Diagnostics
) -> LoadedFile:
    documents: list[Document] = []
    reader = _Reader(diagnostics, documents, unreadable)
    for section in sections:
        reader.read(section)
    return LoadedFile(tuple(documents), tuple(unreadable), diagnostics.in_order())


class _Reader:
    """Reads sections, and goes on after a document that cannot be read."""

    def __init__(
        self, diagnostics: Diagnostics, documents: list[Document], unreadable: list[str]
    ) -> None:
        self._diagnostics = diagnostics
        self._documents = documents
        self._unreadable = unreadable
        self._begin = 0

    def read(self, section: Section) -> None:
        """Read all documents of a section.

        After one that cannot be read, the rest is parsed document by document: one
        parser for each costs more, but the whole stays linear in the file's size.
        """
        resume = self._read_stream(section)
        if resume is None:
            return
        end = self._end_of_unreadable(section, resume)
        line = section.first_line + section.text.count("\n", 0, end)
        for text in _segments(section.text, end):
            segment = Section(section.file, text, line)
            if self._read_stream(segment) is not None:
                self._unreadable.append(text)
            line += text.count("\n")

    def _end_of_unreadable(self, section: Section, resume: int) -> int:
        """Return where the document ends that begins at ``_begin`` and broke at ``resume``."""
        text = section.text
        own_marker = MARKER.match(text, self._begin)
        earliest = own_marker.end() if own_marker else self._begin
        found = MARKER.search(text, max(resume, earliest))
        end = found.start() if found else len(text)
        self._unreadable.append(text[self._begin : end])
        return end

    def _read_stream(self, section: Section) -> int | None:
        """Read documents; return None, or the index at which one turned out unreadable."""
        parser = CParser(section.text)
        self._begin = 0
        try:
            self._documents.extend(self._parse(section, parser.get_event))
        except UnreadableDocumentError as error:
            unreadable = error
        except MarkedYAMLError as error:
            unreadable = explain(error, section)
        except YAMLError as error:
            end = len(section.text)
            unreadable = unreadable_at(section, 0, 0, end, Code.SYNTAX, f"not YAML: {error}", "")
        else:
            return None
        finally:
            parser.dispose()
        self._diagnostics.extend([unreadable.diagnostic])
        return unreadable.resume

    def _parse(self, section: Section, next_event: Callable[[], Event]) -> Iterator[Document]:
        while True:
            event = next_event()
            if type(event) is DocumentStartEvent:
                document = self._document(section, event, next_event)
                if document is not None:
                    yield document
            elif type(event) is StreamEndEvent:
                return

    def _document(
        self, section: Section, start: DocumentStartEvent, next_event: Callable[[], Event]
    ) -> Document | None:
        mark = start.start_mark
        self._begin = begin = mark.index - mark.column
        builder = Builder(next_event, section, begin, self._diagnostics)
        value = builder.build(next_event())
        end = next_event()
        if type(end) is not DocumentEndEvent:  # pragma: no cover - libyaml's grammar
            raise TypeError(end)
        if value is None:
            self._diagnostics.warning(
                section.position(mark.line, mark.column),
                Code.EMPTY_DOCUMENT,
                "this document is empty",
                "remove the extra line of ---",
            )
            return None
        unusable = _UnusableValues()
        data = (
            unusable.removed(value, ())
            if builder.has_invalid or isinstance(value, Invalid)
            else value
        )
        document = Document(
            data=data,
            invalid=frozenset(unusable.invalid),
            section=section,
            begin=begin,
            end=end.end_mark.index,
            first_line=mark.line,
            items=builder.items,
        )
        for path in unusable.nulls[:MOST_PER_DOCUMENT]:
            self._diagnostics.error(
                document.key_position(path),
                Code.NO_VALUE,
                f"{dotted(path)}: there is no value",
                "give it a value or remove the line; an empty list is [], an empty mapping {}",
            )
        return document


class _UnusableValues:
    """Takes what was reported, and null, out of a document's data."""

    def __init__(self) -> None:
        self.invalid: list[Path] = []
        self.nulls: list[Path] = []

    def removed(self, value: Plain | Invalid, path: Path) -> Plain:
        """Return ``value`` with None in the place of whatever is unusable; note the paths."""
        if isinstance(value, dict):
            return {key: self.removed(part, (*path, key)) for key, part in value.items()}
        if isinstance(value, tuple):
            return tuple(self.removed(part, (*path, index)) for index, part in enumerate(value))
        if value is None or isinstance(value, Invalid):
            self.invalid.append(path)
            if value is None:
                self.nulls.append(path)
            return None
        return value


def _segments(text: str, begin: int) -> Iterator[str]:
    """Yield the rest of a text, cut before every document marker."""
    for marker in MARKER.finditer(text, begin + 1):
        cut = marker.start() if marker.group() == "---" else marker.end()
        yield text[begin:cut]
        begin = cut
    yield text[begin:]
