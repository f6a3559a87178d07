"""Telling the documents of a file apart without a parser."""

import re

from specs.problems import Problems
from specs.source.chunk import Chunk, split

_NEXT_DOCUMENT = re.compile(r"\n(?=---(?:[ \t\r\n]|\Z))")


def document_text(text: str, begin: int) -> str:
    """Return the text of the document that begins at an index."""
    found = _NEXT_DOCUMENT.search(text, begin)
    return text[begin : found.end() if found else len(text)]


def is_separable(chunk: Chunk, data: bytes) -> bool:
    """Return whether a file is one chunk, and only lines of --- begin documents in it."""
    problems = Problems()
    if split(chunk.file, data, problems).readable != (chunk,) or problems.in_order():
        return False
    text = chunk.text
    return not (text.startswith("%") or "\n%" in text or "\n..." in text)


def separated(file: str, data: bytes) -> tuple[Chunk, ...] | None:
    """Return a chunk for each document of a file; None where that takes a parser to tell.

    What stands before the first line of --- is a chunk too, be it a document or comments.
    """
    readable = split(file, data, Problems()).readable
    if len(readable) != 1 or not is_separable(readable[0], data):
        return None
    text = readable[0].text
    chunks: list[Chunk] = []
    begin = line = 0
    while begin < len(text):
        own = document_text(text, begin)
        chunks.append(Chunk(file, own, line))
        begin += len(own)
        line += own.count("\n")
    return tuple(chunks)
