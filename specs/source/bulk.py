"""Reading many files: where they are large together, regular documents by the faster parser."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from specs.problems import Problems
from specs.source.chunk import EMPTY_LINE, Chunk, split
from specs.source.document import Document
from specs.source.load import LoadedFile, load_file, read_chunk
from specs.source.plain import Plain

WORTH_LOADING = 1 << 19
"""Bytes of YAML below which loading the faster parser takes longer than it saves."""
_BATCH = 1 << 16
"""Bytes that are read at once: single small files would cost more than what is in them."""
_NOTHING = re.compile(f"(?:{EMPTY_LINE})*+")
"""Lines before the first document."""

File = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class _Extent:
    """Where a document stands in its chunk's text; ``line`` counts from 0."""

    begin: int
    end: int
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class _Outline:
    """The documents of a file, before any is read."""

    chunk: Chunk
    extents: Sequence[_Extent]


def load_files(files: Iterable[File]) -> Iterator[LoadedFile]:
    """Yield what ``load_file`` returns of each file, by name and content."""
    files = tuple(files)
    if sum(len(data) for _, data in files) < WORTH_LOADING:
        yield from (load_file(*each) for each in files)
        return
    for batch in _batches(files):
        yield from load_batch(batch)


def preload() -> None:
    """Load the faster parser, before processes are forked that would each do so."""
    import specs.source.regular  # noqa: F401, PLC0415 - slow to load


def load_batch(files: Sequence[File]) -> Iterator[LoadedFile]:
    """Yield what ``load_file`` returns of each file; by the faster parser where it can."""
    from specs.source.regular import IrregularError, is_regular, read_regular  # noqa: PLC0415

    outlines = [_outline(*each) for each in files]
    regular = [
        extent.text
        for outline in outlines
        if outline is not None
        for extent in outline.extents
        if is_regular(extent.text)
    ]
    try:
        known = dict(zip(regular, read_regular(regular), strict=True)) if regular else {}
    except IrregularError:
        known = {}
    for file, outline in zip(files, outlines, strict=True):
        yield (outline and _loaded(outline, known)) or load_file(*file)


def _batches(files: Iterable[File]) -> Iterator[list[File]]:
    batch: list[File] = []
    size = 0
    for file in files:
        batch.append(file)
        size += len(file[1])
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def _outline(file: str, data: bytes) -> _Outline | None:
    """Return where the documents of a file stand; None where that takes a parser to tell."""
    problems = Problems()
    chunks = split(file, data, problems)
    if len(chunks.readable) != 1 or problems.in_order():
        return None
    (chunk,) = chunks.readable
    text = chunk.text
    if text.startswith("%") or "\n%" in text or "\n..." in text:
        return None
    return _Outline(chunk, tuple(_extents(text)))


def _extents(text: str) -> Iterator[_Extent]:
    nothing = _NOTHING.match(text)
    begin = nothing.end() if nothing else 0
    begins = [begin] if text[begin:].strip() else []
    while (begin := text.find("\n---", begin)) >= 0:
        begin += 1
        begins.append(begin)
    line = done = 0
    for begin, end in pairwise([*begins, len(text)]):
        line += text.count("\n", done, begin)
        done = begin
        yield _Extent(begin, end, line, text[begin:end])


def _loaded(outline: _Outline, known: Mapping[str, Plain]) -> LoadedFile | None:
    """Return a file whose documents are ``known`` by their text, or sound; None for others."""
    chunk = outline.chunk
    problems = Problems()
    documents: list[Document] = []
    unreadable: list[str] = []
    for extent in outline.extents:
        data = known.get(extent.text)
        if data is None:
            own = Chunk(chunk.file, extent.text, chunk.first_line + extent.line)
            read_chunk(own, problems, documents, unreadable)
            continue
        documents.append(
            Document(
                data=data,
                broken=frozenset(),
                chunk=chunk,
                begin=extent.begin,
                end=extent.end,
                first_line=extent.line,
                items={},
            )
        )
    return None if unreadable or problems.in_order() else LoadedFile(tuple(documents), (), ())
