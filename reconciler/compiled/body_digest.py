"""Names of what is kept, by its content."""

from hashlib import blake2b


def body_digest(body: bytes) -> str:
    """Return 32 hex digits that name a shard, or another piece, with this body: BLAKE2b."""
    return blake2b(body, digest_size=16).hexdigest()
