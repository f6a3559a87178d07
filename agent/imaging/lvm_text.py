r"""LVM's text format, in which the metadata of a volume group is written. Pure.

The grammar of libdm (libdm/libdm-config.c), as far as LVM writes it in metadata::

    entries  ::=  entry*
    entry    ::=  name "=" value  |  name "{" entries "}"
    value    ::=  item  |  "[" [ item { "," item } ] "]"
    item     ::=  integer  |  string
    name     ::=  one or more of A-Z a-z 0-9 _ . + -
    string   ::=  '"' characters, of which \ and " stand behind a \, '"'

White space separates; ``#`` begins a comment that ends with the line. What libdm also
reads but LVM never writes there (fractions, strings in single quotes, bare words as
values, a name twice in one section) is an error here.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

Item: TypeAlias = int | str
Section: TypeAlias = "dict[str, Item | list[Item] | Section]"

_DEEPEST = 16  # LVM's own metadata has four levels

_TOKEN = re.compile(
    r'(?P<blank>\s+|#[^\n]*)|"(?P<string>(?:[^"\\]|\\.)*)"|(?P<word>[\w.+-]+)|(?P<mark>[={}\[\],])',
    re.ASCII | re.DOTALL,
)
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_Token = tuple[str, str]
"""Which kind it is (``string``, ``word``, ``mark``, or ``end``), and its text."""

_END: _Token = ("end", "")


class TextError(ValueError):
    """The text does not follow the grammar; the message says where."""


def parse(text: str) -> Section:
    """Return the entries of a text. Raises TextError."""
    tokens = _tokens(text)
    outermost: Section = {}
    open_sections = [outermost]
    for kind, word in tokens:
        if (kind, word) == ("mark", "}") and len(open_sections) > 1:
            open_sections.pop()
        elif kind == "word":
            section = open_sections[-1]
            if word in section:
                raise TextError(f"{word[:40]} stands twice in one section")
            match next(tokens, _END):
                case ("mark", "="):
                    section[word] = _value(tokens)
                case ("mark", "{") if len(open_sections) < _DEEPEST:
                    inner: Section = {}
                    section[word] = inner
                    open_sections.append(inner)
                case _:
                    raise TextError(f"neither a value nor a section follows {word[:40]}")
        else:
            raise TextError(f"{word[:40]!r} stands where a name should")
    if len(open_sections) > 1:
        raise TextError("a section has no end")
    return outermost


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise TextError(f"it cannot be read from character {position} on")
        position = found.end()
        kind = str(found.lastgroup)
        if kind != "blank":
            yield kind, found[kind]


def _value(tokens: Iterator[_Token]) -> Item | list[Item]:
    token = next(tokens, _END)
    if token != ("mark", "["):
        return _item(token)
    items: list[Item] = []
    token = next(tokens, _END)
    while token != ("mark", "]"):
        items.append(_item(token))
        token = next(tokens, _END)
        if token == ("mark", ","):
            token = next(tokens, _END)
        elif token != ("mark", "]"):
            raise TextError("a list has no end")
    return items


def _item(token: _Token) -> Item:
    kind, word = token
    if kind == "string":
        return _ESCAPED.sub(r"\1", word)
    if kind == "word" and _INTEGER.fullmatch(word):
        return int(word)
    raise TextError(f"{word[:40]!r} is no value")
