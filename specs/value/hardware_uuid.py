"""SMBIOS system UUIDs."""

import re
from typing import Annotated

from specs.quotation import quoted
from specs.rejection import Rejection
from specs.value.text import read_with, shown_as

_FORM = "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_is_uuid = re.compile(_FORM).fullmatch

PLACEHOLDERS = frozenset(
    {
        "00000000-0000-0000-0000-000000000000",  # SMBIOS 3.7, 7.2.1: not present
        "ffffffff-ffff-ffff-ffff-ffffffffffff",  # SMBIOS 3.7, 7.2.1: not set
        "03000200-0400-0500-0006-000700080009",  # American Megatrends boards never programmed
    }
)
"""UUIDs that many machines share, which would make them one."""


def normalised(text: str) -> str:
    """Return the UUID in lower case; Rejection when it is none, or no machine's own."""
    if not _is_uuid(text):
        raise Rejection(
            f"{quoted(text)} is not a UUID", "for example 4c4c4544-0042-3510-8052-b4c04f4e4a32"
        )
    uuid = text.lower()
    if uuid in PLACEHOLDERS:
        raise Rejection(
            f"{uuid} is a placeholder that many boards carry, no machine's own",
            "remove the line; the MAC address identifies the machine",
        )
    return uuid


HardwareUuid = Annotated[
    str, read_with(normalised), shown_as(f"^{_FORM}$", "4c4c4544-0042-3510-8052-b4c04f4e4a32")
]
"""As ``dmidecode -s system-uuid`` prints it; kept in lower case."""
