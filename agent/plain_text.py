"""Text of unknown origin as it may be shown on terminals and screens: one bounded line."""

MOST_SHOWN = 500
"""Characters of a message to people."""


def plain_text(text: str, most: int = MOST_SHOWN) -> str:
    """Return ``text`` without anything that acts on a terminal, as one line of so many characters.

    Control characters (C0, C1, and the invisible ones that turn the direction of writing, Unicode
    categories Cc and Cf) become blanks, as do line ends. What is cut off ends with ``…``.
    """
    visible = "".join(char if char.isprintable() else " " for char in text[: most * 4])
    line = " ".join(visible.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
