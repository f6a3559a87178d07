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


def scalar(text: str) -> str:
    """Return text as a scalar that every YAML parser reads as that text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # JSON is YAML, except that JSON lets pass what YAML does not show; ASCII has none of it.
    return dumps(text, ensure_ascii=not text.isprintable())


def flow_list(texts: Iterable[str]) -> str:
    """Return a list on one line."""
    return f"[{', '.join(map(scalar, texts))}]"


def flow_mapping(items: Mapping[str, str]) -> str:
    """Return a mapping on one line; its values are written already."""
    return "{" + ", ".join(f"{scalar(key)}: {value}" for key, value in items.items()) + "}"
