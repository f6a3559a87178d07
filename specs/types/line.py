"""Free text of one line."""

from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import Length, read_with


def _line(text: str) -> str:
    if text.isprintable():
        return text
    raise InvalidValue(
        f"{quoted(text)} has characters that cannot be shown", "write one line of plain text"
    )


def _word(text: str) -> str:
    if text == text.strip():
        return _line(text)
    raise InvalidValue(f"{quoted(text)} begins or ends with a space", "remove the space")


Line = Annotated[str, read_with(_line)]
"""Printable characters: what is shown to people must not steer their terminal."""

HardwareText = Annotated[str, read_with(_word), Length(1, 256)]
"""What hardware says of itself: a serial number, a World Wide Name, a path."""
