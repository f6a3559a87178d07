r"""What SMBIOS says of the machine: the system information structure (type 1). Pure.

Source: DMTF DSP0134, "Structure standards" and "System Information". Windows has the table in
the registry (``mssmbios\Data``, SMBiosData) behind a head of eight bytes (RawSMBIOSData).
"""

from collections.abc import Iterator
from uuid import UUID

from attrs import frozen

_HEAD = 8
_SYSTEM = 1
_LEAST_STRUCTURE = 4
_UUID_AT, _UUID_END = 8, 24


@frozen
class SystemInformation:
    """Maker, product, serial number and UUID; what the table does not have is empty."""

    vendor: str = ""
    product: str = ""
    serial: str = ""
    uuid: str = ""


def system_information(data: bytes) -> SystemInformation:
    """Return the first system information of a table; an empty one where there is none."""
    for kind, formatted, strings in _structures(data[_HEAD:]):
        if kind == _SYSTEM:
            raw = formatted[_UUID_AT:_UUID_END]
            is_set = len(raw) == _UUID_END - _UUID_AT and len(set(raw)) > 1
            # The first three fields are little-endian since SMBIOS 2.6.
            return SystemInformation(
                vendor=_string(formatted, strings, 4),
                product=_string(formatted, strings, 5),
                serial=_string(formatted, strings, 7),
                uuid=str(UUID(bytes_le=raw)) if is_set else "",
            )
    return SystemInformation()


def _structures(table: bytes) -> Iterator[tuple[int, bytes, list[str]]]:
    place = 0
    while place + _LEAST_STRUCTURE <= len(table):
        kind, length = table[place], table[place + 1]
        end = table.find(b"\0\0", place + length)
        if length < _LEAST_STRUCTURE or end < 0:
            return
        raw = table[place + length : end].split(b"\0")
        yield kind, table[place : place + length], [text.decode("latin-1") for text in raw]
        place = end + 2


def _string(formatted: bytes, strings: list[str], place: int) -> str:
    number = formatted[place] if place < len(formatted) else 0
    return strings[number - 1].strip() if 0 < number <= len(strings) else ""
