"""What people call something, beside the name that documents use."""

import unicodedata
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import Length, read_with

_JOINERS = "\u200c\u200d"
"""Format characters that words of Persian and of Indian languages, and emoji, are written with."""


def named(display_name: str, name: str) -> str:
    """Return what people read: ``計算ノード 7 (node-07)``, or the plain name."""
    return f"{display_name} ({name})" if display_name else name


def _display_name(text: str) -> str:
    wrong = misleading(text)
    if wrong:
        raise InvalidValue(
            f"{quoted(text)} has the character U+{ord(wrong):04X}, which is not shown or "
            "changes how the rest is",
            "write it on one line, without control characters and direction marks",
        )
    if text != text.strip():
        raise InvalidValue(f"{quoted(text)} begins or ends with a space", "remove the space")
    return text


def misleading(text: str) -> str:
    """Return the first character that breaks the line, is invisible or reorders its neighbours.

    Empty for none.
    """
    return next(filter(_misleads, text), "")


def _misleads(character: str) -> bool:
    category = unicodedata.category(character)
    return category in {"Cc", "Cs", "Zl", "Zp"} or (category == "Cf" and character not in _JOINERS)


DisplayName = Annotated[str, read_with(_display_name), Length(1, 128)]
"""Any Unicode text on one line that shows all its characters (Unicode 15, chapter 23: control
and format characters are refused, direction marks among them)."""
