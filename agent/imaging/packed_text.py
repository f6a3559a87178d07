"""Texts that a machine sends of its work: compressed with zstandard, and bounded when read."""

import zstandard

from agent.wire.evidence import MOST_TEXT


def pack(text: bytes) -> bytes:
    """Return the text compressed."""
    return zstandard.ZstdCompressor().compress(text)


def unpack(packed: bytes) -> bytes:
    """Return the text; ValueError where it is none, or has more than ``MOST_TEXT`` bytes."""
    try:
        size = zstandard.get_frame_parameters(packed).content_size
        if size > MOST_TEXT:
            raise ValueError("its size is not said, or larger than allowed")
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=MOST_TEXT)
    except zstandard.ZstdError as error:
        raise ValueError(f"it is not compressed as it should be: {error}") from error
