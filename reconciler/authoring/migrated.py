"""Documents of an older apiVersion in the words of the present one.

What is to be changed is decided elsewhere, on ruamel.yaml's round trip of one document.
Here is what keeps it safe: documents that do not change keep every byte, comments stay,
and a second pass must find nothing to do.
"""

import re
from collections.abc import Callable
from io import StringIO
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reconciler.authoring.layout import comments, laid_out
from reconciler.authoring.rewrite import AuthoringError, as_bytes, meaning, read_text

Migrate = Callable[[Any], list[str]]
"""Changes a document in place and returns one line for each change."""

_MARKER = re.compile(r"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)[^\n]*\n?", re.MULTILINE)
_NO_DOCUMENT = re.compile(r"(?:[ \t]*(?:[#%][^\n]*)?(?:\n|\Z))*")
"""Comments, directives and blank lines."""


def migrated(file: str, data: bytes, migrate: Migrate) -> tuple[bytes, tuple[str, ...]]:
    """Return the file with its documents migrated, and what changed, with its lines.

    Raises as ``read_text``, and AuthoringError RW931 for a document that would lose a
    comment, or that the round trip or the migration would make unreadable.
    """
    text = read_text(file, data)
    parts: list[str] = []
    changes: list[str] = []
    line = 1
    for part in _parts(text):
        is_document = not (_MARKER.fullmatch(part) or _NO_DOCUMENT.fullmatch(part))
        new, said = _document(file, line, part, migrate) if is_document else (part, [])
        parts.append(new)
        changes += [f"{file}:{line}: {each}" for each in said]
        line += part.count("\n")
    if not changes:
        return data, ()
    content = as_bytes("".join(parts), data)
    meaning(file, content)
    return content, tuple(changes)


def _parts(text: str) -> list[str]:
    """Return a text cut into lines of ``---`` or ``...`` and what stands between them."""
    cuts = sorted({0, len(text), *(at for found in _MARKER.finditer(text) for at in found.span())})
    return [text[begin:end] for begin, end in pairwise(cuts)]


def _document(file: str, line: int, text: str, migrate: Migrate) -> tuple[str, list[str]]:
    try:
        document = _round_trip().load(text)
    except YAMLError as error:
        raise _refused(file, line, "cannot be kept by the round trip", str(error)) from error
    said = migrate(document)
    if not said:
        return text, []
    new = laid_out(_dumped(document))
    unchanged = _dumped(_round_trip().load(text))
    lost = sorted(set(comments(text)) - set(comments(new)))
    if meaning(file, unchanged.encode()) != meaning(file, text.encode()):
        raise _refused(file, line, "would be written differently", "Report it with the file")
    if lost:
        raise _refused(file, line, f"would lose the comment {lost[0]!r}", "Move it first")
    if migrate(_round_trip().load(new)):
        raise _refused(file, line, "would have to be migrated twice", "Report it with the file")
    return (new.replace("\n", "\r\n") if "\r\n" in text else new), said


def _round_trip() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 2**16
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(document: object) -> str:
    out = StringIO()
    _round_trip().dump(document, out)
    return out.getvalue()


def _refused(file: str, line: int, why: str, action: str) -> AuthoringError:
    return AuthoringError("RW931", f"{file}:{line}: the document {why}, so it was left", action)
