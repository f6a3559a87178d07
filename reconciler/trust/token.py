"""Single-use tokens: the server keeps their hash alone.

A token has 256 bits of randomness, so a plain hash of it can be neither guessed
nor looked up; salt and a slow hash are for secrets that people choose.
"""

import hashlib
import secrets

_RANDOM_BYTES = 32


def new_token() -> str:
    """Return a new token, which goes to the machine and nowhere else."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def token_digest(text: str) -> str:
    """Return the hash under which a token is stored and looked up: SHA-256 in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
