"""SMBIOS system UUIDs, and what names hardware in a machine's history: one, or a MAC address."""

import re
from itertools import pairwise
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types import mac_address
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_FORM = "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_HEX = "[0-9A-Fa-f]"
_IDENTITY = (
    rf"(uuid:{_HEX}{{8}}-({_HEX}{{4}}-){{3}}{_HEX}{{12}}|mac:{_HEX}{{2}}([:-]{_HEX}{{2}}){{5}})"
)
_are_digits = re.compile("[0-9a-f]{32}").fullmatch
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
    """Return the UUID in lower case; InvalidValue when it is none, or no machine's own."""
    if not _is_uuid(text):
        hint = _written(text) or "for example 4c4c4544-0042-3510-8052-b4c04f4e4a32"
        raise InvalidValue(f"{quoted(text)} is not a UUID", hint)
    uuid = text.lower()
    if uuid in PLACEHOLDERS:
        raise InvalidValue(
            f"{uuid} is a placeholder that many boards carry, no machine's own",
            "remove the line; the MAC address identifies the machine",
        )
    return uuid


def _written(text: str) -> str:
    """Return the hint to write 32 hexadecimal digits with dashes, or nothing."""
    digits = text.strip("{} ").replace("-", "").lower()
    if not _are_digits(digits):
        return ""
    ends = (0, 8, 12, 16, 20, 32)
    return f"write {'-'.join(digits[begin:end] for begin, end in pairwise(ends))}"


def _hardware_identity(text: str) -> str:
    noun, _, value = text.partition(":")
    if noun == "uuid":
        return f"uuid:{normalised(value)}"
    if noun == "mac":
        return f"mac:{mac_address.normalised(value)}"
    raise InvalidValue(
        f"{quoted(text)} does not name hardware",
        'for example "uuid:4c4c4544-0042-3510-8052-b4c04f4e4a32" or "mac:52:54:00:12:34:56"',
    )


HardwareUuid = Annotated[
    str, read_with(normalised), shown_as(f"^{_FORM}$", "4c4c4544-0042-3510-8052-b4c04f4e4a32")
]
"""As ``dmidecode -s system-uuid`` prints it; kept in lower case."""

HardwareIdentity = Annotated[
    str, read_with(_hardware_identity), shown_as(f"^{_IDENTITY}$", "mac:52:54:00:12:34:56")
]
"""As ``CompiledMachine.hardware_identity`` has it: in lower case."""
