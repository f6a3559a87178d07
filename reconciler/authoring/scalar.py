"""Values as a new YAML text has them."""

import re
from collections.abc import Iterable, Mapping
from json import dumps

_PLAIN = re.compile(
    r"[A-Za-z][A-Za-z0-9._/-]*"
    r"|[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?"
    r"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
)
"""Words, addresses and UUIDs: nobody takes them for numbers."""
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Values to one version of YAML or another."""
_WIDE_SPACE = "\u3000"
_MAX_SHORT = 0xFFFF


def scalar(text: str) -> str:
    """Return text as a scalar that every YAML parser reads as that text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # JSON is YAML, but for what it lets pass and YAML does not show.
    return "".join(map(_shown, dumps(text, ensure_ascii=False)))


def _shown(character: str) -> str:
    if character.isprintable() or character == _WIDE_SPACE:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _MAX_SHORT else f"\\U{code:08x}"


def flow_list(texts: Iterable[str]) -> str:
    """Return a list on one line."""
    return f"[{', '.join(map(scalar, texts))}]"


def flow_mapping(items: Mapping[str, str]) -> str:
    """Return a mapping on one line; its values are written already."""
    return "{" + ", ".join(f"{scalar(key)}: {value}" for key, value in items.items()) + "}"
