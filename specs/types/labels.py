"""Labels: what machines are picked by. They never set a field."""

import re
from typing import Annotated

from pydantic import Field

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import ShownAs, read_with, shown_as, written_with_digits

_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_is_key = re.compile(_KEY).fullmatch
_is_value = re.compile(_VALUE).fullmatch
_RULE = "with a letter or digit at both ends"


def _key(text: str) -> str:
    if _is_key(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is not a label's name",
        f'up to 63 letters, digits, ".", "_", "/" and "-", {_RULE}',
    )


def _value(text: str) -> str:
    if _is_value(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is not a label's value",
        f'up to 63 letters, digits, ".", "_" and "-", {_RULE}',
    )


LabelKey = Annotated[str, read_with(_key), shown_as(f"^{_KEY}$", "role")]
LabelValue = Annotated[
    str,
    written_with_digits(_value),
    ShownAs({"type": ["string", "integer"], "pattern": f"^{_VALUE}$", "examples": ["compute", 7]}),
]
"""Text; a whole number stands for its digits, so that ``rack: 7`` needs no quotes."""

Labels = Annotated[
    dict[LabelKey, LabelValue], Field(json_schema_extra={"additionalProperties": False})
]
