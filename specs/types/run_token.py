"""Run tokens: a new one means "run again"."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import ShownAs, written_with_digits

_FORM = r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,61}[A-Za-z0-9])?"
_is_token = re.compile(_FORM).fullmatch


def _token(text: str) -> str:
    if _is_token(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is not a run token",
        'up to 63 letters, digits, ".", "_", ":" and "-", with a letter or digit at both ends; '
        "for example 2026-11",
    )


RunToken = Annotated[
    str,
    written_with_digits(_token),
    ShownAs({"type": ["string", "integer"], "pattern": f"^{_FORM}$", "examples": ["2026-11", 1]}),
]
"""Text; a whole number stands for its digits, so that ``run: 1`` needs no quotes."""
