"""Reading one file."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import DocumentEndEvent, DocumentStartEvent, Event, StreamEndEvent

from specs.code import Code
from specs.path import Path, dotted
from specs.problem import Problem
from specs.problems import MOST_PER_DOCUMENT, Problems
from specs.source.builder import Broken, Builder
from specs.source.chunk import MARKER, Chunk, split
from specs.source.document import Document
from specs.source.flaw import Flaw, UnreadableDocumentError
from specs.source.plain import Plain
from specs.source.syntax import explain

WORTH_LEARNING = 1 << 16
"""Bytes of YAML below which learning how documents are alike takes longer than it saves."""


class LoadedFile(NamedTuple):
    """What one file holds.

    ``unreadable`` are the texts of documents that could not be parsed: a name that
    stands in one of them must not be called unknown elsewhere.
    """

    documents: tuple[Document, ...]
    unreadable: tuple[str, ...]
    problems: tuple[Problem, ...]


def load_file(file: str, data: bytes) -> LoadedFile:
    """Return the documents of a file; raises nothing, whatever the bytes are."""
    problems = Problems()
    chunks = split(file, data, problems)
    return _loaded(chunks.readable, list(chunks.unreadable), problems)


def load_chunks(chunks: Iterable[Chunk]) -> LoadedFile:
    """Return the documents of some chunks of a file."""
    return _loaded(chunks, [], Problems())


def sound_document(chunk: Chunk) -> Document | None:
    """Return the one document of a chunk; None where there are others, or anything to report."""
    found = load_chunks((chunk,))
    is_sound = len(found.documents) == 1 and not (found.unreadable or found.problems)
    return found.documents[0] if is_sound else None


def _loaded(chunks: Iterable[Chunk], unreadable: list[str], problems: Problems) -> LoadedFile:
    documents: list[Document] = []
    for chunk in chunks:
        read_chunk(chunk, problems, documents, unreadable)
    return LoadedFile(tuple(documents), tuple(unreadable), problems.in_order())


def load_files(files: Iterable[tuple[str, bytes]]) -> Iterator[LoadedFile]:
    """Return what ``load_file`` returns of each file, by name and content; sooner for many."""
    files = tuple(files)
    if sum(len(data) for _, data in files) < WORTH_LEARNING:
        return (load_file(*each) for each in files)
    from specs.source.alike import load_alike  # noqa: PLC0415 - slow to load

    return load_alike(files)


def read_chunk(
    chunk: Chunk, problems: Problems, documents: list[Document], unreadable: list[str]
) -> None:
    """Add the documents of a chunk, and the texts of those that cannot be parsed."""
    _Reader(problems, documents, unreadable).read(chunk)


class _Reader:
    """Reads chunks, and goes on after a document that cannot be read."""

    def __init__(
        self, problems: Problems, documents: list[Document], unreadable: list[str]
    ) -> None:
        self._problems = problems
        self._documents = documents
        self._unreadable = unreadable
        self._begin = 0

    def read(self, chunk: Chunk) -> None:
        """Read all documents of a chunk.

        After one that cannot be read, the rest is parsed document by document: one
        parser for each costs more, but the whole stays linear in the file's size.
        """
        resume = self._read_stream(chunk)
        if resume is None:
            return
        end = self._end_of_unreadable(chunk, resume)
        line = chunk.first_line + chunk.text.count("\n", 0, end)
        for text in _segments(chunk.text, end):
            segment = Chunk(chunk.file, text, line)
            if self._read_stream(segment) is not None:
                self._unreadable.append(text)
            line += text.count("\n")

    def _end_of_unreadable(self, chunk: Chunk, resume: int) -> int:
        """Return where the document ends that begins at ``_begin`` and broke at ``resume``."""
        text = chunk.text
        own_marker = MARKER.match(text, self._begin)
        earliest = own_marker.end() if own_marker else self._begin
        found = MARKER.search(text, max(resume, earliest))
        end = found.start() if found else len(text)
        self._unreadable.append(text[self._begin : end])
        return end

    def _read_stream(self, chunk: Chunk) -> int | None:
        """Read documents; return None, or the index at which one turned out unreadable."""
        parser = CParser(chunk.text)
        self._begin = 0
        try:
            self._documents.extend(self._parse(chunk, parser.get_event))
        except UnreadableDocumentError as error:
            flaw = error.flaw
        except MarkedYAMLError as error:
            flaw = explain(error, chunk)
        except YAMLError as error:
            flaw = Flaw(0, 0, len(chunk.text), Code.SYNTAX, f"not YAML: {error}", "")
        else:
            return None
        finally:
            parser.dispose()
        position = chunk.position(flaw.line, flaw.column)
        self._problems.error(position, flaw.code, flaw.message, flaw.hint)
        return flaw.resume

    def _parse(self, chunk: Chunk, next_event: Callable[[], Event]) -> Iterator[Document]:
        while True:
            event = next_event()
            if type(event) is DocumentStartEvent:
                document = self._document(chunk, event, next_event)
                if document is not None:
                    yield document
            elif type(event) is StreamEndEvent:
                return

    def _document(
        self, chunk: Chunk, start: DocumentStartEvent, next_event: Callable[[], Event]
    ) -> Document | None:
        mark = start.start_mark
        self._begin = begin = mark.index - mark.column
        builder = Builder(next_event, chunk, begin, self._problems)
        value = builder.build(next_event())
        end = next_event()
        if type(end) is not DocumentEndEvent:  # pragma: no cover - libyaml's grammar
            raise TypeError(end)
        if value is None:
            self._problems.warning(
                chunk.position(mark.line, mark.column),
                Code.EMPTY_DOCUMENT,
                "this document is empty",
                "remove the extra line of ---",
            )
            return None
        flaws = _Flaws()
        data = flaws.removed(value, ()) if builder.flawed or isinstance(value, Broken) else value
        document = Document(
            data=data,
            broken=frozenset(flaws.broken),
            chunk=chunk,
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
        self.broken: list[Path] = []
        self.nulls: list[Path] = []

    def removed(self, value: Plain | Broken, path: Path) -> Plain:
        """Return ``value`` with None in the place of whatever is broken; note the paths."""
        if isinstance(value, dict):
            return {key: self.removed(part, (*path, key)) for key, part in value.items()}
        if isinstance(value, tuple):
            return tuple(self.removed(part, (*path, index)) for index, part in enumerate(value))
        if value is None or isinstance(value, Broken):
            self.broken.append(path)
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
