"""One command line of words, as programs of Windows take it apart. Pure.

Source: Microsoft, "CommandLineToArgvW" and "Parsing C command-line arguments": words that hold
white space are quoted, backslashes double before a quotation mark. Windows Installer takes only
``NAME="a value"``, not ``"NAME=a value"``, and a quotation mark in it doubled ("Command-Line
Options"); others read both alike.
"""

import re
from collections.abc import Sequence

_PROPERTY = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*=)(.*)", re.DOTALL)
_SPECIAL = re.compile(r'[\s"]')
_BEFORE_MARK = re.compile(r'(\\*)"')
_AT_END = re.compile(r"(\\+)\Z")


def command_line(argv: Sequence[str]) -> str:
    """Return the command line that programs take apart into these words."""
    return " ".join(_quoted(word) for word in argv)


def _quoted(word: str) -> str:
    if word and not _SPECIAL.search(word):
        return word
    named = _PROPERTY.fullmatch(word)
    if named:
        value = _AT_END.sub(r"\1\1", _BEFORE_MARK.sub(r'\1\1""', named.group(2)))
        return f'{named.group(1)}"{value}"'
    escaped = _AT_END.sub(r"\1\1", _BEFORE_MARK.sub(r'\1\1\\"', word))
    return f'"{escaped}"'
