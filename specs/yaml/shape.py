"""Documents that differ in single words only.

The machines of a large fleet are written alike: what differs is a word here and there. A
document's shape is its text without those words. libyaml reads two documents of a shape whose
words tell where each of them went; every other document of the shape is what these two are,
with its own words in the same places.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from operator import itemgetter
from typing import TYPE_CHECKING

from specs.diagnostics.path import Path
from specs.yaml.document import Document
from specs.yaml.load import valid_document
from specs.yaml.scalars import Plain, resolve, value_at
from specs.yaml.section import Section

if TYPE_CHECKING:
    from specs.yaml.builder import Item

_CHARACTER = r"[\w./@+=~-]"
_PART = rf"{_CHARACTER}*+(?::++{_CHARACTER}++)*+"
_COLONS = rf"[A-Za-z0-9/_]{_PART}(?: ++{_CHARACTER}{_PART})*+"
_IN_LINE = r"[^\x00-\x20#&:\[\\\]^`{|}\x7f]"
_LINE = rf"[^\x00-.:-@\[-^`{{-\x7f]{_IN_LINE}*+(?: ++{_IN_LINE}++){{0,50}}+"
_LINE_END = r" *+(?:[\r\n#]|\Z)"
_END = r" *+(?:[,\]}\r\n#]|\Z)"
_NUMBER = r"\d[-+.\deE]*+"
_NO_TEXT = rf"(?:{_NUMBER}|(?i:true|false|null))"
_MAC_OF_DIGITS = rf"[1-9]\d(?::[0-5]\d){{5}}{_END}"
_COMMENT = "comment"
COMMENT = r"[^\x00-\x08\x0a-\x1f\x7f]*+"
"""What stands behind the # of a comment. Where there is text beyond ASCII, somebody else has
looked for characters that are not allowed."""
_WORDS = {
    "plain": rf"(?!{_NO_TEXT}{_END})[A-Za-z0-9/_]{_CHARACTER}*+(?: ++{_CHARACTER}++)*+",
    "number": _NUMBER,
    "colons": rf"(?!{_MAC_OF_DIGITS})(?=[\w ./@+=~-]++:){_COLONS}",
    "line": rf"(?!{_NO_TEXT}{_LINE_END}){_LINE}",
    "double": r"[^\x00-\x1f\"\\\x7f]++",
    "single": r"[^\x00-\x1f'\x7f]++",
    _COMMENT: COMMENT,
}
"""What may stand in a place, by the way in which it is written there.

YAML's structure is the same whichever of these stands in a place that one of them may stand
in: none can end a quotation or a line, open or close anything, or be a key. Of MAC addresses
in digits people are warned, which is done elsewhere. Within brackets, colons have to be quoted.
Classes that reach beyond ASCII name what they exclude: else each takes milliseconds to compile.
"""
_ODD_WORDS = {
    "plain": "0/{}. =-  ~@ 1.5e3",
    "number": "10{}.-+.e-",
    "colons": "0/{}:. =-  ~@:1.5e3",
    "line": "é/{}. =-  ~@, (b) 'c' \"d\" ;!?*% <>$ 1.5e3 計",
    "double": " {}: [a, b] {{c: d}} - # %' é計",
    "single": ' {}: [a, b] {{c: d}} - # %" é計',
    _COMMENT: " {}: [a, b] {{c: d}} - # %'\" é計",
}
_PLACE = re.compile(
    rf"[:-] ++(?P<line>{_LINE})(?={_LINE_END})"
    r"|(?:[:,-] ++|[\[{] *+)"
    rf"(?:(?P<colons>{_COLONS})"
    rf"|\"(?P<double>{_WORDS['double']})\"|'(?P<single>{_WORDS['single']})')"
    rf"|\#(?P<comment>{_WORDS[_COMMENT]})",
    re.ASCII,
)
"""Where a word may stand. What is found once is not searched again: no text makes this slow."""
_is_followed = re.compile(_END).match
_UNQUOTED = {
    kind: re.compile(_WORDS[kind], re.ASCII).fullmatch
    for kind in ("plain", "number", "colons", "line")
}
_NEXT_DOCUMENT = r"(?=---[ \t\r\n]|---\Z|\Z)"
_LONGEST = 8192
"""Characters; a longer document has no like."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A document's text with its words cut out: what stands around them, and how each is written.

    Documents of one shape have equal cuts.
    """

    around: tuple[str, ...]
    kinds: tuple[str, ...]

    def filled(self, words: Sequence[str]) -> str:
        """Return the text of the document that has these words."""
        return "".join(chain.from_iterable(zip_longest(self.around, words, fillvalue="")))


def cut(text: str) -> Cut | None:
    """Return a document's cut; None where it is of no use."""
    if len(text) > _LONGEST:
        return None
    around: list[str] = []
    kinds: list[str] = []
    done = 0
    for match in _PLACE.finditer(text):
        kind = _kind(match)
        if kind:
            begin, end = match.span(match.lastgroup or 0)
            around.append(text[done:begin])
            kinds.append(kind)
            done = end
    around.append(text[done:])
    # How much aliases may stand for depends on a document's length.
    has_aliases = any("&" in each for each in around)
    return None if has_aliases or not text.endswith("\n") else Cut(tuple(around), tuple(kinds))


def _kind(match: re.Match[str]) -> str:
    """Return how a word is written; nothing for what is not only a word."""
    group = str(match.lastgroup)
    if group == _COMMENT:
        return group
    if not _is_followed(match.string, match.end()):
        return ""
    if group not in _UNQUOTED:
        return group
    return next((kind for kind, is_one in _UNQUOTED.items() if is_one(match[group])), "")


class UnlikeError(Exception):
    """Documents of this shape have to be read one by one."""


_Words = tuple[Plain, ...]
_Make = Callable[[_Words], Plain]
_Part = int | _Make
"""The place of a word, or what makes a value of all of them."""


class Shape:
    """Reads documents of one shape."""

    def __init__(self, pieces: Cut) -> None:
        """Learn the shape of a sound document; UnlikeError when its words are not only words."""
        learned = _Learned(pieces)
        self._make = learned.make
        self._items = learned.items
        kinds = [kind for kind in pieces.kinds if kind != _COMMENT]
        self._numbers = tuple(place for place, kind in enumerate(kinds) if kind == "number")
        self._lines = sum(each.count("\n") for each in pieces.around)
        pattern = [re.escape(pieces.around[0])]
        for kind, behind in zip(pieces.kinds, pieces.around[1:], strict=True):
            word = _WORDS[kind]
            pattern += (word if kind == _COMMENT else f"({word})", re.escape(behind))
        self._match = re.compile("".join(pattern) + _NEXT_DOCUMENT, re.ASCII).match

    def read(self, section: Section, begin: int, line: int) -> tuple[Document, int, int] | None:
        """Return the document at an index and line of a chunk, and where the next one begins.

        None where the document is of another shape.
        """
        match = self._match(section.text, begin)
        if match is None:
            return None
        written = match.groups()
        words: _Words = written
        if self._numbers:
            numbers = {place: resolve(written[place]) for place in self._numbers}
            words = tuple(numbers.get(place, word) for place, word in enumerate(written))
        data = self._make(words)
        items: dict[int, Item] = {}
        for path, line_within, column in self._items:
            item = value_at(data, path)
            items[id(item)] = item, line + line_within, column
        end = match.end()
        document = Document(data, frozenset(), section, begin, end, line, items)
        return document, end, line + self._lines


class _Learned:
    """How documents of a shape are made of their words.

    ``items`` are the mappings in lists whose place does not depend on the words: their
    path, line and column.
    """

    def __init__(self, pieces: Cut) -> None:
        kinds = pieces.kinds
        short = [f"w{number}w" for number in range(len(kinds))]
        long = [_ODD_WORDS[kind].format(number) for number, kind in enumerate(kinds)]
        pairs = zip(kinds, short, long, strict=True)
        words = [(one, other) for kind, one, other in pairs if kind != _COMMENT]
        self._words = {one: (place, other) for place, (one, other) in enumerate(words)}
        self._unmet = set(self._words)
        self._short, self._long = _document(pieces.filled(short)), _document(pieces.filled(long))
        self.items: list[tuple[Path, int, int]] = []
        part = self._part(self._short.data, self._long.data, ())
        if self._unmet or isinstance(part, int):
            raise UnlikeError
        self.make = part

    def _part(self, short: Plain, long: Plain, path: Path) -> _Part:
        """Return what the value at a path is, of which these are two."""
        if isinstance(short, dict) and isinstance(long, dict) and list(short) == list(long):
            parts = [self._part(short[key], long[key], (*path, key)) for key in short]
            return _mapping(tuple(short), parts)
        if isinstance(short, tuple) and isinstance(long, tuple) and len(short) == len(long):
            pairs = enumerate(zip(short, long, strict=True))
            return _sequence([self._item(*pair, (*path, index)) for index, pair in pairs])
        if isinstance(short, str) and short in self._unmet and self._words[short][1] == long:
            self._unmet.remove(short)
            return self._words[short][0]
        if type(short) is not type(long) or short != long:
            raise UnlikeError
        return _constant(short)

    def _item(self, short: Plain, long: Plain, path: Path) -> _Part:
        """Return what an item of a list is; where it is a mapping, note its place."""
        if isinstance(short, dict):
            _, line, column = self._short.items[id(short)]
            if self._long.items.get(id(long), ())[1:] == (line, column):
                self.items.append((path, line, column))
        return self._part(short, long, path)


def _document(text: str) -> Document:
    document = valid_document(Section("", text, 0))
    if document is None:
        raise UnlikeError
    return document


def _constant(value: Plain) -> _Make:
    return lambda _words: value


def _mapping(keys: tuple[str, ...], parts: Sequence[_Part]) -> _Make:
    values = _sequence(parts)
    return lambda words: dict(zip(keys, values(words), strict=True))


def _sequence(parts: Sequence[_Part]) -> Callable[[_Words], tuple[Plain, ...]]:
    places = [part for part in parts if isinstance(part, int)]
    if places and places == list(range(places[0], places[0] + len(parts))):
        return itemgetter(slice(places[0], places[-1] + 1))
    makes = [itemgetter(part) if isinstance(part, int) else part for part in parts]
    return lambda words: tuple([make(words) for make in makes])
