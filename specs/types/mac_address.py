"""Ethernet addresses."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_is_mac = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}")
_bare = re.compile(r"[0-9A-Fa-f]{12}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}")
_EXAMPLE = '"52:54:00:12:34:56"'


def suggestion(text: str) -> str | None:
    """Return twelve bare hexadecimal digits as an address with colons, else None."""
    if not _bare.fullmatch(text):
        return None
    digits = text.replace(".", "").lower()
    return ":".join(digits[index : index + 2] for index in range(0, 12, 2))


def _with_zeros(text: str) -> str | None:
    """Return an address in which the letter O stands for zero as it was meant, else None."""
    meant = text.upper().replace("O", "0").lower()
    return meant if meant != text.lower() and _is_mac.fullmatch(meant) else None


def normalised(text: str) -> str:
    """Return the address in lower case with colons; InvalidValue when it is none.

    Group addresses (IEEE 802-2014, 8.2: lowest bit of the first octet) belong to
    no single machine.
    """
    if not _is_mac.fullmatch(text):
        meant = suggestion(text) or _with_zeros(text)
        hint = f'write "{meant}"' if meant else f"for example {_EXAMPLE}, in quotes"
        raise InvalidValue(f"{quoted(text)} is not a MAC address", hint)
    address = text.lower().replace("-", ":")
    if address == "00:00:00:00:00:00":
        raise InvalidValue(
            f"{address} is no machine's address", "write the address of the boot NIC"
        )
    if int(address[:2], 16) & 1:
        raise InvalidValue(
            f"{address} is a multicast address, no machine's own",
            "the second digit of a machine's address is even",
        )
    return address


MacAddress = Annotated[
    str,
    read_with(normalised),
    shown_as("^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$", "52:54:00:12:34:56"),
]
"""Written with colons or dashes, in either case; kept in lower case with colons."""
