"""Single-use tokens: the server keeps their hash alone.

A token has 256 bits of randomness, so a plain hash of it can be neither guessed
nor looked up; salt and a slow hash are for secrets that people choose.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class Token:
    """A new token. ``text`` goes to the machine and nowhere else, ``digest`` is stored."""

    text: str = field(repr=False)
    digest: str


def mint(random_text: Callable[[int], str] = secrets.token_urlsafe) -> Token:
    """Return a new token; ``random_text`` makes URL-safe text from that many random bytes."""
    text = random_text(_RANDOM_BYTES)
    return Token(text, token_digest(text))


def token_digest(text: str) -> str:
    """Return the hash under which a token is stored and looked up: SHA-256 in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def matches(text: str, digest: str) -> bool:
    """Tell in constant time whether ``text`` is the token that was stored as ``digest``."""
    return hmac.compare_digest(token_digest(text), digest.lower())
