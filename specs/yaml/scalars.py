"""Plain data, and how an unquoted scalar becomes a value.

The rules are those of YAML 1.2's JSON schema with the core schema's words for
null, true and false (YAML 1.2.2, sections 10.2 and 10.3), and stricter about
numbers: a number is only what has one decimal form. Whatever is no such word and
no such number is text: ``no``, ``on``, ``1:30``, ``007``, ``0x1f``, ``2026-11-01``.
"""

import re

from specs.diagnostics.path import Path
from specs.types.secret import SecretReference

Plain = bool | int | float | str | SecretReference | tuple["Plain", ...] | dict[str, "Plain"] | None
"""What a document is made of once YAML is gone. Never modified after it was built."""

WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_STARTS = frozenset("-0123456789")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
"""At most 18 digits: longer ones are serial numbers, and fit no machine integer."""
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_MAC_OF_DIGITS = re.compile(r"[1-9][0-9](?::[0-5][0-9]){5}")


def resolve(text: str) -> bool | int | float | str | None:
    """Return the value of an unquoted scalar."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return text if text.lstrip("-").isdigit() else float(text)
    return text


def value_at(value: Plain, path: Path) -> Plain:
    """Return the value at ``path`` within ``value``, or None where there is none."""
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def is_mac_of_digits(text: str) -> bool:
    """Return whether ``text`` is a MAC address that YAML 1.1 reads as a number in base 60."""
    return _MAC_OF_DIGITS.fullmatch(text) is not None
