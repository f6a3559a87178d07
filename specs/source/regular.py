"""Reading regular files by a faster parser.

Nearly all documents of a large fleet are of one simple form: a key or an item per line,
no anchors, no tags, no texts over several lines. For such files libyaml says whether they
are YAML, rapidyaml what they hold, and the two have to count the same values; libyaml's
events, which cost ten times as much, are read for whatever is of another form.
"""

import re
from collections.abc import Sequence
from json import JSONDecoder
from typing import Any

import ryml
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import YAMLError

from specs.source.chunk import EMPTY_LINE
from specs.source.plain import Plain


def _form() -> str:
    """Return the pattern of a document in which YAML's parsers cannot differ.

    Quantifiers are possessive: no text makes the search slow.
    """
    word = r"[\w./+=@,;()'%~-]"
    flow_word = r"[\w./+=@-]"
    # What one of the two would make something else of than the text that it is: numbers
    # other than short whole ones, and words that stand for values.
    number = r"\d++(?:\.\d*+)?+(?:[eE][-+]?+\d*+)?+(?![\w./:+=@-])|0[xXoObB]"
    odd = rf"(?!{number}|(?i:true|false|null|nan|inf|infinity)(?!\w)|[1-9]\d(?::[0-5]\d){{5}})"
    exact = r"(?:(?:0|[1-9]\d{0,17}+)|true|false)(?= *+[\n,\]}]| ++#)"
    plain = rf"{odd}[A-Za-z0-9]{word}*+(?::++{word}++)*+(?: ++{word}++(?::++{word}++)*+)*+"
    tight = rf"{odd}[A-Za-z0-9]{flow_word}*+(?: ++\w{flow_word}*+)*+"
    quoted = r""""[^"\\\n\t]*+"|'[^'"\\\n\t]*+'"""
    key = r"(?!(?i:true|false|null|nan|inf|infinity):)[A-Za-z_][\w./-]*+:"

    def sequence(item: str) -> str:
        return rf"\[ *+(?:(?:{item})(?: *+, *+(?:{item}))*+)?+ *+\]"

    def mapping(value: str) -> str:
        return rf"\{{ *+(?:{key} ++(?:{value})(?: *+, *+{key} ++(?:{value}))*+)?+ *+\}}"

    scalar = f"{exact}|{quoted}|{tight}"
    flat = f"{scalar}|{sequence(scalar)}"
    flow = f"{sequence(scalar)}|{mapping(f'{flat}|{mapping(flat)}')}"
    value = f"(?:{exact}|{quoted}|{plain}|{flow})"
    tail = r"(?: ++(?:#[^\n]*+)?+)?+\n"
    line = (
        rf"{EMPTY_LINE}"
        rf"| {{0,40}}+(?:- ++){{0,8}}+{key}(?: ++{value})?+{tail}"
        rf"| {{0,40}}+(?:- ++){{1,8}}+{value}{tail}"
    )
    # The first value stands at the left edge: rapidyaml wants it there.
    return rf"(?:---{tail})?+(?:{EMPTY_LINE})*+(?! )(?:{line})*+"


_DOCUMENT = re.compile(_form(), re.ASCII)


class IrregularError(Exception):
    """The documents have to be read by libyaml's events."""


def is_regular(text: str) -> bool:
    """Return whether one document's text is of the form that is read here."""
    return _DOCUMENT.fullmatch(text) is not None


def read_regular(texts: Sequence[str]) -> list[dict[str, Plain] | None]:
    """Return what regular documents hold, which is what ``Builder`` makes of libyaml's events.

    None for a document in which mappings stand in lists: the places of these are asked
    for, and only events have them. IrregularError when one of the documents turns out to be
    no YAML, or not what it seemed.
    """
    stream = "".join(text if text.startswith("---") else f"---\n{text}" for text in texts)
    events = _events(stream)
    tally = _Tally()
    documents = tally.documents(_as_json(stream))
    if len(documents) != len(texts) or events != tally.events + 2 * len(documents) + 2:
        raise IrregularError
    return [None if type(each) is _WithItems else each for each in documents]


def _events(text: str) -> int:
    """Return how many events libyaml finds; two for the stream, and two for each document."""
    parser = CParser(text)
    try:
        count: int = parser.raw_parse()
    except YAMLError:
        raise IrregularError from None  # what is wrong is put into words elsewhere
    finally:
        parser.dispose()
    return count


def _as_json(text: str) -> str:
    try:
        json: str = ryml.emit_json(ryml.parse_in_arena(text))
    except ryml.ExceptionBasic:
        raise IrregularError from None
    return json


class _WithItems(dict[str, Plain]):
    """A mapping below which mappings stand in lists."""


class _Tally:
    """Reads JSON as plain data, and counts the events that libyaml makes of the same."""

    def __init__(self) -> None:
        self.events = 0
        self._decoder = JSONDecoder(object_pairs_hook=self._mapping)

    def documents(self, text: str) -> list[dict[str, Plain]]:
        """Return the documents of a stream, all of which begin with a marker."""
        try:
            documents = self._decoder.decode(text)
        except ValueError:  # never seen: a number that is none to JSON
            raise IrregularError from None
        if not isinstance(documents, list) or not all(isinstance(each, dict) for each in documents):
            raise IrregularError
        return documents

    def _mapping(self, pairs: list[tuple[str, Any]]) -> dict[str, Plain]:
        mapping: dict[str, Any] = dict(pairs)
        if len(mapping) != len(pairs):
            raise IrregularError
        self.events += 2 + len(pairs)
        has_items = False
        for key, value in pairs:
            if type(value) is str:
                self.events += 1
            elif isinstance(value, list):
                mapping[key], has_more = self._sequence(value)
                has_items = has_items or has_more
            elif value is None:
                raise IrregularError
            elif isinstance(value, dict):
                has_items = has_items or type(value) is _WithItems
            else:
                self.events += 1
        return _WithItems(mapping) if has_items else mapping

    def _sequence(self, values: list[Any]) -> tuple[tuple[Plain, ...], bool]:
        """Return the sequence, and whether mappings are among its items or theirs."""
        self.events += 2
        found = []
        has_items = False
        for value in values:
            if value is None:
                raise IrregularError
            item = value
            if isinstance(value, list):
                item, has_more = self._sequence(value)
                has_items = has_items or has_more
            elif isinstance(value, dict):
                has_items = True
            else:
                self.events += 1
            found.append(item)
        return tuple(found), has_items
