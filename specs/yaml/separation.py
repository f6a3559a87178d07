"""Telling the documents of a file apart without a parser."""

import re

from specs.diagnostics.collector import Diagnostics
from specs.yaml.section import Section, split

_NEXT_DOCUMENT = re.compile(r"\n(?=---(?:[ \t\r\n]|\Z))")


def document_text(text: str, begin: int) -> str:
    """Return the text of the document that begins at an index."""
    found = _NEXT_DOCUMENT.search(text, begin)
    return text[begin : found.end() if found else len(text)]


def separable(file: str, data: bytes) -> Section | None:
    """Return a file that is one chunk in which only lines of --- begin documents; else None."""
    diagnostics = Diagnostics()
    readable = split(file, data, diagnostics).readable
    if len(readable) != 1 or diagnostics.in_order():
        return None
    text = readable[0].text
    is_odd = text.startswith("%") or "\n%" in text or "\n..." in text
    return None if is_odd else readable[0]


def separated(file: str, data: bytes) -> tuple[Section, ...] | None:
    """Return a chunk for each document of a file; None where that takes a parser to tell.

    What stands before the first line of --- is a chunk too, be it a document or comments.
    """
    whole = separable(file, data)
    if whole is None:
        return None
    sections: list[Section] = []
    begin = line = 0
    while begin < len(whole.text):
        own = document_text(whole.text, begin)
        sections.append(Section(file, own, line))
        begin += len(own)
        line += own.count("\n")
    return tuple(sections)
