"""Names and subnet masks from elsewhere as Rackwright writes them."""

import re
import unicodedata
from hashlib import sha256
from ipaddress import AddressValueError, IPv4Address

from specs.types.name import MAX_SEGMENT, is_label, is_segment

_ADDRESS_BITS = 32
_DIGEST = 10
"""Hexadecimal digits: two of 40,000 names have one digest by chance in 1 of 1,400 fleets."""
_KEPT = MAX_SEGMENT - _DIGEST - 1
_OF_WINDOWS = str.maketrans("〜‖−—", "～∥－―")  # noqa: RUF001 - that is what they are for
"""Characters that Windows reads from Shift_JIS as another one than other systems do."""


def stable_id(given: str, noun: str) -> str:
    """Return the id of a name, which depends on nothing else.

    A label stays as it is, as does a part of a group's path (``noun`` is "group"). Otherwise
    it is what ``converted`` keeps of it. Where that loses a letter or a digit, a digest of the
    whole name follows (the first 10 digits of the SHA-256 of its NFKC form in UTF-8); where
    nothing is kept, it stands behind ``m-`` or ``g-``, short enough for a NetBIOS name.
    """
    if (is_label if noun == "machine" else is_segment)(given):
        return given
    kept, is_whole = _kept(given)
    if kept and is_whole:
        return kept
    normal = unicodedata.normalize("NFKC", given.translate(_OF_WINDOWS))
    digest = sha256(normal.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{kept[:_KEPT].strip('-') or noun[0]}-{digest}"


def converted(text: str) -> str:
    """Return the nearest name that is allowed; empty when nothing of ``text`` can be kept.

    The rule: full-width letters become ordinary ones and accents go (Unicode NFKD),
    capitals become small, every run of other characters becomes one ``-``, at most 63
    characters stay, and ``-`` goes at both ends. Text without a Latin letter or digit,
    such as a Japanese name, has no such form.
    """
    return _kept(text)[0][:MAX_SEGMENT].strip("-")


def _kept(text: str) -> tuple[str, bool]:
    """Return what can be kept of a name, and whether that is all but accents and signs."""
    plain = unicodedata.normalize("NFKD", text.translate(_OF_WINDOWS))
    bare = "".join(each for each in plain if not unicodedata.combining(each)).casefold()
    kept = re.sub(r"[^a-z0-9]+", "-", bare).strip("-")
    is_whole = len(kept) <= MAX_SEGMENT and all(map(_may_go, bare))
    return kept, is_whole


def _may_go(character: str) -> bool:
    return character.isascii() or unicodedata.category(character)[0] in "PZ"


def prefix_length(mask: str) -> int:
    """Return the prefix length of a mask such as 255.255.240.0; ValueError says that it is none."""
    try:
        value = int(IPv4Address(mask))
    except AddressValueError:
        value = 1
    length = value.bit_count()
    if value != (1 << _ADDRESS_BITS) - (1 << (_ADDRESS_BITS - length)):
        raise ValueError(f"{mask!r} is not a subnet mask")
    return length
