"""Text that a stranger on the network wrote, made fit for logs and the timeline. Pure."""

_LIMIT = 100


def printable(text: str) -> str:
    """Return ``text`` as one bounded line of ASCII: it must not forge lines or terminals."""
    return "".join(character if " " <= character <= "~" else "?" for character in text[:_LIMIT])
