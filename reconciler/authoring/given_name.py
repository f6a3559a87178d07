"""Names from elsewhere as Rackwright writes them."""

import re
import unicodedata

_LONGEST = 63


def converted(text: str) -> str:
    """Return the nearest name that is allowed; empty when nothing of ``text`` can be kept.

    The rule: full-width letters become ordinary ones and accents go (Unicode NFKD),
    capitals become small, every run of other characters becomes one ``-``, at most 63
    characters stay, and ``-`` goes at both ends. Text without a Latin letter or digit,
    such as a Japanese name, has no such form.
    """
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(character for character in plain if not unicodedata.combining(character))
    return re.sub(r"[^a-z0-9]+", "-", kept.lower()).strip("-")[:_LONGEST].strip("-")
