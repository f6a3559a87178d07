"""Which partition a restore makes larger."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import ShownAs, written_with_digits

_is_partition = re.compile(r"none|last|[1-9][0-9]{0,2}").fullmatch


def _grown_partition(text: str) -> str:
    if _is_partition(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is no partition to grow",
        "last, the partition's number, such as 3, or none",
    )


GrownPartition = Annotated[
    str,
    written_with_digits(_grown_partition),
    ShownAs(
        {
            "anyOf": [
                {"enum": ["none", "last"]},
                {"type": "integer", "minimum": 1, "maximum": 999},
            ]
        }
    ),
]
"""``last``, a partition's number in digits, or ``none``."""
