"""Ed25519 public keys by which package repositories are trusted."""

import base64
import binascii
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

PREFIX = "ed25519:"
_LENGTH = 32
"""Bytes of a public key (RFC 8032, section 5.1.5)."""
_EXAMPLE = "ed25519:9c1c0ZUqCL0d6qNAqNhGqkTzLwS8vU2oBd3gkpbTPTc="


def key_bytes(key: str) -> bytes:
    """Return the 32 bytes of a key as documents write it; ValueError for anything else."""
    if not key.startswith(PREFIX):
        raise ValueError("no Ed25519 key")
    try:
        raw = base64.b64decode(key.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("no Base64") from error
    if len(raw) != _LENGTH or key != key_text(raw):
        raise ValueError("another length, or other bits than those of the key")
    return raw


def key_text(raw: bytes) -> str:
    """Return a key as documents write it."""
    return PREFIX + base64.b64encode(raw).decode()


def _key(text: str) -> str:
    text = text.strip()
    if "PRIVATE KEY" in text:
        raise InvalidValue(
            "this is a private key",
            "take it out of the repository and its history, and never use it again; list the "
            "public key of a new one",
        )
    try:
        key_bytes(text)
    except ValueError:
        raise InvalidValue(
            f"{quoted(text)} is not an Ed25519 public key",
            f"`rackwright package init` prints it, for example {_EXAMPLE}",
        ) from None
    return text


Ed25519Key = Annotated[str, read_with(_key), shown_as(r"^ed25519:[A-Za-z0-9+\/]{43}=$", _EXAMPLE)]
"""``ed25519:`` and the Base64 of the key's 32 bytes."""
