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

# From reports of machines that were taken for one another (FOG, dmidecode, SCCM).
_SHARED = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",  # American Megatrends boards never programmed
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "01020304-0506-0708-090a-0b0c0d0e0f10",
        "01234567-89ab-cdef-0123-456789abcdef",
        "12345678-1234-5678-1234-567812345678",
        "12345678-1234-5678-90ab-cddeefaabbcc",  # Insyde's default
        "11111111-2222-3333-4444-555555555555",
        "00112233-4455-6677-8899-aabbccddeeff",
        "4c4c4544-0000-2010-8020-80c04f202020",  # Dell boards without a service tag
    }
)
_FEWEST_BYTES = 3
"""A UUID with fewer different bytes (all zeros, all ones, ffffff00-ffff-...) is a filling."""


def own(text: str) -> str:
    """Return the UUID in lower case, empty where it is none or one that many machines share.

    The one place that knows what identifies no machine: for documents, boot requests, reports
    and adoption.
    """
    uuid = text.lower()
    return uuid if _is_uuid(uuid) and not _is_shared(uuid) else ""


def both_orders(text: str) -> tuple[str, ...]:
    """Return the two ways to write a machine's own UUID, nothing for what is none.

    SMBIOS before 2.6 did not say in which byte order its first three fields are, so what
    firmware sends and what dmidecode prints of one board may differ by that.
    """
    uuid = own(text)
    return (uuid, _swapped(uuid)) if uuid else ()


def _is_shared(uuid: str) -> bool:
    pairs = uuid.replace("-", "")
    different = {pairs[at : at + 2] for at in range(0, len(pairs), 2)}
    return len(different) < _FEWEST_BYTES or uuid in _SHARED or _swapped(uuid) in _SHARED


def _swapped(uuid: str) -> str:
    """Return the UUID with its first three fields in the other byte order."""
    first, second, third, rest = uuid.split("-", 3)
    fields = (bytes.fromhex(field)[::-1].hex() for field in (first, second, third))
    return "-".join((*fields, rest))


def normalised(text: str) -> str:
    """Return the UUID in lower case; InvalidValue when it is none, or no machine's own."""
    if not _is_uuid(text):
        hint = _written(text) or "for example 4c4c4544-0042-3510-8052-b4c04f4e4a32"
        raise InvalidValue(f"{quoted(text)} is not a UUID", hint)
    uuid = text.lower()
    if _is_shared(uuid):
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
