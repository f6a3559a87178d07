"""The public keys by which commits are signed."""

import base64
import binascii
import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with

SSH_ALGORITHMS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
"""Kinds of keys that sign with OpenSSH; DSA is broken, and certificates are no keys."""

OPENPGP_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
OPENPGP_END = "-----END PGP PUBLIC KEY BLOCK-----"

_LONGEST = 100_000
_LENGTH_BYTES = 4
_SSH = re.compile(r"(\S+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+.*)?")
_ARMOUR_HEADER = re.compile(r"[A-Za-z]+: .*")
_CHECKSUM = re.compile(r"=[A-Za-z0-9+/]{4}")
_HINT = (
    'give an OpenSSH public key ("ssh-ed25519 AAAA...", the line in ~/.ssh/id_ed25519.pub) or what '
    "`gpg --armor --export KEY` prints"
)


def is_openpgp(key: str) -> bool:
    """Tell whether a signing key is an OpenPGP key; else it is an OpenSSH key."""
    return key.startswith(OPENPGP_BEGIN)


def _signing_key(text: str) -> str:
    text = text.strip()
    if len(text) > _LONGEST:
        raise InvalidValue(
            f"the key has {len(text):,} characters, at most {_LONGEST:,} are allowed",
            "export it without the signatures of others: "
            "gpg --armor --export-options export-minimal --export KEY",
        )
    if "PRIVATE KEY" in text:
        raise InvalidValue(
            "this is a private key",
            "take it out of the repository and its history, and never use it again; list the "
            "public key of a new one",
        )
    return _openpgp(text) if text.startswith("-----BEGIN PGP") else _openssh(text)


def _openssh(text: str) -> str:
    """Return type and key of a line as ssh-keygen(1) writes it, without the comment.

    The Base64 part repeats the type in front (RFC 4253, section 6.6).
    """
    match = _SSH.fullmatch(text)
    if match is None:
        raise InvalidValue("not a public key", _HINT)
    algorithm, encoded = match.groups()
    if algorithm not in SSH_ALGORITHMS:
        raise InvalidValue(
            f"{quoted(algorithm)} is not a kind of key that signs commits",
            f"known are: {', '.join(SSH_ALGORITHMS)}",
        )
    name, *parts = _fields(_decoded(encoded)) or [b""]
    if name != algorithm.encode():
        raise InvalidValue(f"the key is damaged: its content is not of type {algorithm}", _HINT)
    if not all(parts) or not parts:
        raise InvalidValue("the key is damaged: a part of it is missing", _HINT)
    return f"{algorithm} {encoded}"


def _fields(content: bytes) -> list[bytes]:
    """Return the strings, each after its length, that ``content`` consists of (RFC 4251, 5).

    The last is empty where the content breaks off.
    """
    fields = []
    while content:
        length = int.from_bytes(content[:_LENGTH_BYTES], "big")
        field, content = content[_LENGTH_BYTES:][:length], content[_LENGTH_BYTES + length :]
        fields.append(field if len(field) == length else b"")
    return fields


def _openpgp(text: str) -> str:
    """Return the block, checked as far as its armour goes (RFC 9580, section 6.2)."""
    first, *lines = [line.strip() for line in text.splitlines()]
    if first != OPENPGP_BEGIN or not lines or lines.pop() != OPENPGP_END:
        raise InvalidValue(
            "the OpenPGP key is not one whole public key block",
            f"it begins with {OPENPGP_BEGIN} and ends with {OPENPGP_END}",
        )
    while lines and _ARMOUR_HEADER.fullmatch(lines[0]):
        lines.pop(0)
    if lines and _CHECKSUM.fullmatch(lines[-1]):
        lines.pop()
    if not _decoded("".join(lines)):
        raise InvalidValue("the OpenPGP key is empty", _HINT)
    return text


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidValue("the key is damaged: a part of it is not Base64", _HINT) from None


SigningKey = Annotated[str, read_with(_signing_key)]
"""An OpenSSH public key without its comment, or an ASCII-armoured OpenPGP public key."""
