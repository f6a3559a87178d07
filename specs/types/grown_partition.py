"""Which partition or LVM volume a restore makes larger."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import ShownAs, written_with_digits

# lvm(8), "Valid names": a group and a volume; neither "." nor "..".
_LVM_NAME = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}"
_VOLUME = f"{_LVM_NAME}/{_LVM_NAME}"
_is_grown = re.compile(f"none|last|[1-9][0-9]{{0,2}}|{_VOLUME}").fullmatch


def _grown_partition(text: str) -> str:
    if _is_grown(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is no partition to grow",
        "last, the partition's number, such as 3, an LVM volume, such as vg0/root, or none",
    )


GrownPartition = Annotated[
    str,
    written_with_digits(_grown_partition),
    ShownAs(
        {
            "anyOf": [
                {"enum": ["none", "last"]},
                {"type": "integer", "minimum": 1, "maximum": 999},
                {"type": "string", "pattern": f"^{_VOLUME}$"},
            ]
        }
    ),
]
"""``last``, a partition's number in digits, an LVM volume as ``GROUP/VOLUME``, or ``none``."""
