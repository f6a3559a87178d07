"""Where files come from, and what they must be."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_URL = r"https?:\/\/[^\s\/@:?#]+(?::[0-9]{1,5})?(?:\/[^\s@]*)?"
_is_url = re.compile(_URL).fullmatch
_is_sha256 = re.compile("[0-9A-Fa-f]{64}").fullmatch


def _url(text: str) -> str:
    if _is_url(text) and text.isprintable():
        return text
    if re.match(r"https?://[^/]*@", text):
        raise InvalidValue(
            "the address has a user name or password in it",
            "take it out and change the password, since Git keeps it for ever; where a login is "
            "possible, it has fields of its own",
        )
    raise InvalidValue(
        f"{quoted(text)} is not an address of the web",
        "for example https://files.example.net/a.iso",
    )


def _sha256(text: str) -> str:
    if _is_sha256(text):
        return text.lower()
    raise InvalidValue(
        f"{quoted(text)} is not a SHA-256 checksum", "64 hexadecimal digits, as sha256sum prints"
    )


Url = Annotated[str, read_with(_url), shown_as(f"^{_URL}$", "https://files.example.net/a.iso")]
"""http or https, without user name and password."""

Sha256 = Annotated[str, read_with(_sha256), shown_as("^[0-9A-Fa-f]{64}$", "9f" * 32)]
"""What ``sha256sum`` prints; kept in lower case."""
