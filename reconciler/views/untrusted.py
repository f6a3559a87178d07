"""Text from the repository or from machines, made harmless for where it is shown.

Whoever can name a disk or a scenario must not steer a terminal, ping a person in
a pull request, or put a script on a page.
"""

import html
import re
import unicodedata

_MARKUP = re.compile(r"[\\`*_\[\]<>|~#&]")
_REFERENCE = re.compile(r"(?<=[@!$%#~&])(?=\w)|(?<=:)(?=//)|(?<=\bwww)(?=\.)")
_WORD_JOINER = "\u2060"
"""Invisible; keeps ``@name``, ``#12`` and addresses from becoming links and notifications."""


def for_terminal(text: str) -> str:
    """Return one line without control, format or surrogate characters: they are shown as codes.

    Escape sequences would repaint the screen; direction marks reorder what is read.
    """
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs":
        return " "  # of whatever width: names in Japanese have a wide one
    if character.isprintable() and category != "Cf":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - one byte


def for_markdown(text: str) -> str:
    """Return text that GitHub and GitLab show as it is, in Markdown and inside HTML tags.

    Marks become character references, which are never read as markup.
    """
    joined = _REFERENCE.sub(_WORD_JOINER, for_terminal(text))
    return _MARKUP.sub(lambda found: f"&#{ord(found.group())};", joined)


def for_html(text: str) -> str:
    """Return text for an element or a quoted attribute of an HTML page."""
    return html.escape(for_terminal(text), quote=True)
