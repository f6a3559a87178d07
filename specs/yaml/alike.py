"""Reading many files: a document of the shape of earlier ones is not parsed again."""

import re
from collections.abc import Iterable, Iterator

from specs.yaml.document import Document
from specs.yaml.load import LoadedFile, load_file, valid_document
from specs.yaml.section import MAX_FILE_BYTES, Section
from specs.yaml.separation import document_text, separable
from specs.yaml.shape import COMMENT
from specs.yaml.shapes import Shapes

_NOTHING = re.compile(rf"(?: *+(?:#{COMMENT})?+\r?+\n)*+")
"""Lines before the first document."""


def load_alike(files: Iterable[tuple[str, bytes]]) -> Iterator[LoadedFile]:
    """Yield what ``load_file`` returns of each file, by name and content."""
    shapes = Shapes()
    for file, data in files:
        documents = _documents(file, data, shapes)
        # Whatever has to be said of a file is put into words in one place.
        if documents is None:
            yield load_file(file, data)
        else:
            yield LoadedFile(tuple(documents), (), ())


def _documents(file: str, data: bytes, shapes: Shapes) -> list[Document] | None:
    """Return the documents of a sound file; None where it may have a flaw."""
    try:
        text = data.decode() if len(data) <= MAX_FILE_BYTES else ""
    except UnicodeDecodeError:
        return None
    section = Section(file, text, 0)
    # Shapes know of no character beyond ASCII whether it is allowed.
    is_split = not text.isascii()
    if is_split and separable(file, data) != section:
        return None
    nothing = _NOTHING.match(text)
    begin = nothing.end() if nothing else 0
    line = text.count("\n", 0, begin)
    documents: list[Document] = []
    while begin < len(text):
        found = shapes.read(section, begin, line)
        if found is not None:
            document, begin, line = found
            documents.append(document)
            continue
        if not is_split and separable(file, data) != section:
            return None
        is_split = True
        own = document_text(text, begin)
        alone = valid_document(Section(file, own, line))
        if alone is None:
            return None
        documents.append(alone)
        shapes.learn(own)
        begin += len(own)
        line += own.count("\n")
    return documents or None
