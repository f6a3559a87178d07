"""Reading one file."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import DocumentEndEvent, DocumentStartEvent, Event, StreamEndEvent

from specs.diagnostics.codes import Code
from specs.diagnostics.collector import MOST_PER_DOCUMENT, Diagnostics
from specs.diagnostics.diagnostic import Diagnostic
from specs.diagnostics.path import Path, dotted
from specs.yaml.builder import Builder, Invalid
from specs.yaml.document import Document
from specs.yaml.errors import explain
from specs.yaml.scalars import Plain
from specs.yaml.section import MARKER, Section, split
from specs.yaml.unreadable import Flaw, UnreadableDocumentError

WORTH_LEARNING = 1 << 16
"""Bytes of YAML below which learning how documents are alike takes longer than it saves."""


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


def load_chunks(sections: Iterable[Section]) -> LoadedFile:
    """Return the documents of some chunks of a file."""
    return _loaded(sections, [], Diagnostics())


def valid_document(section: Section) -> Document | None:
    """Return the one document of a chunk; None where there are others, or anything to report."""
    found = load_chunks((section,))
    is_sound = len(found.documents) == 1 and not (found.unreadable or found.diagnostics)
    return found.documents[0] if is_sound else None


def _loaded(
    sections: Iterable[Section], unreadable: list[str], diagnostics: Diagnostics
) -> LoadedFile:
    documents: list[Document] = []
    for section in sections:
        read_chunk(section, diagnostics, documents, unreadable)
    return LoadedFile(tuple(documents), tuple(unreadable), diagnostics.in_order())


def load_files(files: Iterable[tuple[str, bytes]]) -> Iterator[LoadedFile]:
    """Return what ``load_file`` returns of each file, by name and content; sooner for many."""
    files = tuple(files)
    if sum(len(data) for _, data in files) < WORTH_LEARNING:
        return (load_file(*each) for each in files)
    from specs.yaml.alike import load_alike  # noqa: PLC0415 - slow to load

    return load_alike(files)


def read_chunk(
    section: Section, diagnostics: Diagnostics, documents: list[Document], unreadable: list[str]
) -> None:
    """Add the documents of a chunk, and the texts of those that cannot be parsed."""
    _Reader(diagnostics, documents, unreadable).read(section)


class _Reader:
    """Reads chunks, and goes on after a document that cannot be read."""

    def __init__(
        self, diagnostics: Diagnostics, documents: list[Document], unreadable: list[str]
    ) -> None:
        self._problems = diagnostics
        self._documents = documents
        self._unreadable = unreadable
        self._begin = 0

    def read(self, section: Section) -> None:
        """Read all documents of a chunk.

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
            flaw = error.flaw
        except MarkedYAMLError as error:
            flaw = explain(error, section)
        except YAMLError as error:
            flaw = Flaw(0, 0, len(section.text), Code.SYNTAX, f"not YAML: {error}", "")
        else:
            return None
        finally:
            parser.dispose()
        position = section.position(flaw.line, flaw.column)
        self._problems.error(position, flaw.code, flaw.message, flaw.hint)
        return flaw.resume

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
        builder = Builder(next_event, section, begin, self._problems)
        value = builder.build(next_event())
        end = next_event()
        if type(end) is not DocumentEndEvent:  # pragma: no cover - libyaml's grammar
            raise TypeError(end)
        if value is None:
            self._problems.warning(
                section.position(mark.line, mark.column),
                Code.EMPTY_DOCUMENT,
                "this document is empty",
                "remove the extra line of ---",
            )
            return None
        flaws = _Flaws()
        data = flaws.removed(value, ()) if builder.flawed or isinstance(value, Invalid) else value
        document = Document(
            data=data,
            invalid=frozenset(flaws.invalid),
            section=section,
            begin=begin,
            end=end.end_mark.index,
            first_line=mark.line,
            items=builder.items,
        )
        for path in flaws.nulls[:MOST_PER_DOCUMENT]:
            self._problems.error(
                document.key_position(path),
                Code.NO_VALUE,
                f"{dotted(path)}: there is no value",
                "give it a value or remove the line; an empty list is [], an empty mapping {}",
            )
        return document


class _Flaws:
    """Takes what was reported, and null, out of a document's data."""

    def __init__(self) -> None:
        self.invalid: list[Path] = []
        self.nulls: list[Path] = []

    def removed(self, value: Plain | Invalid, path: Path) -> Plain:
        """Return ``value`` with None in the place of whatever is broken; note the paths."""
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
