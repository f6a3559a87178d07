"""Places in the repository and on machines."""

import re
from typing import Annotated

from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

_WINDOWS = re.compile(r"[A-Za-z]:[\\/](?:[^\\/:*?\"<>|\0]+[\\/]?)*")
_MODE = "0?[0-7]{3,4}"
_is_mode = re.compile(_MODE).fullmatch
_LONGEST = 1024


def _machine_path(text: str) -> str:
    printable = text.isprintable() and len(text) <= _LONGEST
    absolute = text.startswith("/") or _WINDOWS.fullmatch(text) is not None
    if printable and absolute and ".." not in re.split(r"[\\/]", text):
        return text
    raise InvalidValue(
        f"{quoted(text)} is not a place on a machine",
        r"an absolute path without .., for example /etc/motd or C:\Tools\agent.ini",
    )


def _repository_path(text: str) -> str:
    parts = text.split("/")
    if text.isprintable() and 0 < len(text) <= _LONGEST and "\\" not in text and parts[0]:
        return text
    raise InvalidValue(
        f"{quoted(text)} is not a place in the repository",
        "a path beside this file, with / between its parts",
    )


def _mode(text: str) -> str:
    if _is_mode(text):
        return f"{int(text, 8):04o}"
    raise InvalidValue(f"{quoted(text)} is not a file mode", 'octal digits in quotes: "0644"')


MachinePath = Annotated[
    str, read_with(_machine_path), shown_as(r"^(\/|[A-Za-z]:[\\/])", "/etc/motd")
]
"""An absolute path of Linux or Windows."""

RepositoryPath = Annotated[
    str, read_with(_repository_path), shown_as(r"^[^\/\\][^\\]*$", "files/motd")
]
"""A path relative to the file that names it."""

FileMode = Annotated[str, read_with(_mode), shown_as(f"^{_MODE}$", "0644")]
"""Permissions as ``chmod`` takes them; kept with four digits."""
