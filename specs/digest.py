"""Naming meaning by a hash."""

import hashlib
import json
from collections.abc import Mapping

Canonical = bool | int | str | list["Canonical"] | Mapping[str, "Canonical"] | None
"""What can be hashed: no float, because its text form is not one."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def digest(subject: str, meaning: Canonical) -> str:
    """Return 64 hex digits: BLAKE2b-256 (RFC 7693) over sorted, ASCII-only, compact JSON.

    ``subject`` keeps two kinds of things with equal fields apart. Positions and
    comments are no part of the meaning.
    """
    text = _encode([subject, meaning])
    return hashlib.blake2b(text.encode("ascii"), digest_size=32).hexdigest()
