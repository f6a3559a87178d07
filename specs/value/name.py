"""What documents may be called."""

import re
from functools import lru_cache
from typing import Annotated

from specs.quotation import quoted
from specs.rejection import Rejection
from specs.value.text import read_with, shown_as

MAX_LEVELS = 20
MAX_LENGTH = 253

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SEGMENT = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_is_label = re.compile(_LABEL).fullmatch
_is_segment = re.compile(_SEGMENT).fullmatch
_SEGMENT_RULE = (
    'up to 63 lower-case letters, digits, ".", "_" and "-", with a letter or digit at both ends'
)


def _machine_name(text: str) -> str:
    if _is_label(text):
        return text
    raise Rejection(
        f"{quoted(text)} is not a machine name",
        'up to 63 lower-case letters, digits and "-", with a letter or digit at both ends',
    )


def _name(text: str) -> str:
    if _is_segment(text):
        return text
    raise Rejection(f"{quoted(text)} is not a name", _SEGMENT_RULE)


@lru_cache(maxsize=4096)  # a group's name is written once for each of its machines
def _path_name(text: str) -> str:
    if _is_segment(text):
        return text
    segments = text.split("/")
    if not all(_is_segment(segment) for segment in segments):
        raise Rejection(
            f"{quoted(text)} is not a name", f'parts joined by "/", each {_SEGMENT_RULE}'
        )
    if len(segments) > MAX_LEVELS:
        raise Rejection(f"the name has {len(segments)} levels, at most {MAX_LEVELS} are allowed")
    if len(text) > MAX_LENGTH:
        raise Rejection(f"the name has {len(text)} characters, at most {MAX_LENGTH} are allowed")
    return text


MachineName = Annotated[str, read_with(_machine_name), shown_as(f"^{_LABEL}$", "node-0713")]
"""A label as RFC 1123 has it, in lower case, because it is the default host name."""

Name = Annotated[str, read_with(_name), shown_as(f"^{_SEGMENT}$", "tokyo-a")]

PathName = Annotated[
    str,
    read_with(_path_name),
    shown_as(f"^{_SEGMENT}(?:/{_SEGMENT}){{0,19}}$", "tokyo/row2/rack07"),
]
"""A name with up to 20 levels, the uppermost first."""
