"""Patterns over names and paths: ``node-07*``, ``osaka/**``."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_NAME_FORM = r"[a-z0-9?*](?:[a-z0-9?*-]{0,61}[a-z0-9?*])?"
_SEGMENT = r"[a-z0-9?*](?:[a-z0-9._?*-]{0,61}[a-z0-9?*])?"
_PATH_FORM = rf"{_SEGMENT}(?:/{_SEGMENT}){{0,19}}"
_MAC_FORM = r"[0-9A-Fa-f?*]{1,2}(?:[:-][0-9A-Fa-f?*]{1,2}){0,5}"
_is_name_pattern = re.compile(_NAME_FORM).fullmatch
_is_path_pattern = re.compile(_PATH_FORM).fullmatch
_is_mac_pattern = re.compile(_MAC_FORM).fullmatch
_TOKEN = re.compile(r"\*\*|\*|\?|[^*?]+")
_IN_PATHS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
_MAC_PARTS = 6


def is_pattern(text: str) -> bool:
    """Return whether ``text`` can match more than the text that it is."""
    return "*" in text or "?" in text


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that is true of the texts that the whole pattern fits.

    ``*`` stands for any characters of one part of a path, ``?`` for one of them, and
    ``**`` for any characters across parts. The rest stands for itself, case included.
    """
    return re.compile(
        "".join(_IN_PATHS.get(token) or re.escape(token) for token in _TOKEN.findall(pattern)),
        re.DOTALL,
    ).fullmatch


@lru_cache(maxsize=1024)
def free_matcher(pattern: str) -> Callable[[str], object]:
    """Return the same for text that is no path: ``*`` stands for anything; case is ignored."""
    folded = matcher(pattern.casefold().replace("*", "**"))
    return lambda text: folded(text.casefold())


def _name_pattern(text: str) -> str:
    if _is_name_pattern(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is neither a machine's name nor a pattern",
        'lower-case letters, digits and "-"; * for any of them, ? for one; for example node-07*',
    )


def _path_pattern(text: str) -> str:
    if _is_path_pattern(text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is neither a group's path nor a pattern",
        "for example tokyo/row2, tokyo/*/rack07 or osaka/**; a group means all below it",
    )


def _mac_pattern(text: str) -> str:
    """Return the pattern in lower case with colons; a ``*`` at the end stands for the rest."""
    parts = re.split("[:-]", text)
    complete = len(parts) == _MAC_PARTS or parts[-1] == "*"
    if not _is_mac_pattern(text) or not complete or not all(map(_fits_octet, parts)):
        raise InvalidValue(
            f"{quoted(text)} is neither a MAC address nor a pattern",
            'for example "52:54:00:*" or "00-50-56-*", in quotes',
        )
    return ":".join(parts).lower()


def _fits_octet(part: str) -> bool:
    return part == "*" or (len(part) == len("00") and "*" not in part)


def _free_pattern(text: str) -> str:
    if text.isprintable() and text == text.strip():
        return text
    raise InvalidValue(
        f"{quoted(text)} has characters that cannot be shown", "write one line of text"
    )


NamePattern = Annotated[str, read_with(_name_pattern), shown_as(f"^{_NAME_FORM}$", "node-07*")]
"""A machine's name, in which ``*`` and ``?`` stand for others."""

PathPattern = Annotated[str, read_with(_path_pattern), shown_as(f"^{_PATH_FORM}$", "osaka/**")]
"""A path, in which ``*`` stays within one part and ``**`` does not."""

MacPattern = Annotated[str, read_with(_mac_pattern), shown_as(f"^{_MAC_FORM}$", "52:54:00:*")]
"""A MAC address, or its beginning and ``*``; kept in lower case with colons."""

FreePattern = Annotated[str, read_with(_free_pattern), shown_as(r"^\S(.{0,254}\S)?$", "Dell*")]
"""What hardware may say of itself; compared without regard to case."""
