"""Text from a repository, and numbers, inside a message for people."""

import json

LONGEST = 60
"""Characters of a value that a message shows; enough to recognise it."""


def quoted(text: str) -> str:
    """Return ``text`` in double quotes, shortened, with nothing in it that a terminal obeys.

    A double-quoted YAML scalar can hold escape sequences and bidirectional
    controls; they are shown as escapes.
    """
    shown = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return json.dumps(shown, ensure_ascii=not shown.isprintable())


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 disk`` or ``1,000 disks``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
