"""What documents may be called."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

from specs.diagnostics.codes import Code
from specs.diagnostics.quote import quoted
from specs.types.invalid_value import InvalidValue
from specs.types.text import read_with, shown_as

MAX_LEVELS = 20
MAX_LENGTH = 253
MAX_SEGMENT = 63
MACHINE = "{machine}"
"""What stands for a machine's name in the name of an image."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SEGMENT = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_IMAGE = (  # one character of it may be the machine
    r"(?:[a-z0-9]|\{machine\})(?:(?:[a-z0-9._-]|\{machine\}){0,61}(?:[a-z0-9]|\{machine\}))?"
)
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
is_label = re.compile(_LABEL).fullmatch
"""Tells whether a text can be a machine's name."""
is_segment = re.compile(_SEGMENT).fullmatch
"""Tells whether a text can be another name, or one part of a path."""
_LABEL_RULE = 'up to 63 lower-case letters, digits and "-", with a letter or digit at both ends'
_SEGMENT_RULE = (
    'up to 63 lower-case letters, digits, ".", "_" and "-", with a letter or digit at both ends'
)


def _machine_name(text: str) -> str:
    if is_label(text):
        return text
    name, dot, domain = text.partition(".")
    if dot and is_label(name) and is_segment(domain):
        hint = f"write {_as_text(name)}; the domain goes into spec.identity.domain"
    else:
        hint = _written(_simplified(text).replace("_", "-"), is_label) or _LABEL_RULE
    raise _refused(text, "a machine name", hint)


def _name(text: str) -> str:
    if is_segment(text):
        return text
    hint = _written(_simplified(text).replace("/", "-"), is_segment) or _SEGMENT_RULE
    raise _refused(text, "a name", hint)


@lru_cache(maxsize=4096)  # a group's name is written once for each of its machines
def _path_name(text: str) -> str:
    if is_segment(text):
        return text
    segments = text.split("/")
    if not all(is_segment(segment) for segment in segments):
        meant = "/".join(part for part in _simplified(text).replace("\\", "/").split("/") if part)
        hint = _written(meant, _is_path) or f'parts joined by "/", each {_SEGMENT_RULE}'
        raise _refused(text, "a name", hint)
    if len(segments) > MAX_LEVELS:
        raise _too_many(len(segments), MAX_LEVELS, "levels")
    if len(text) > MAX_LENGTH:
        raise _too_many(len(text), MAX_LENGTH, "characters")
    return text


def _image_name(text: str) -> str:
    if is_segment(text):
        return text
    unknown = next((each for each in _BRACES.findall(text) if each != MACHINE), "")
    if unknown:
        message = f"{quoted(unknown)} stands for nothing in the name of an image"
        hint = f"write {MACHINE}: it stands for the name of the machine"
        raise InvalidValue(message, hint, Code.IMAGE_PLACEHOLDER)
    if text.count(MACHINE) > 1:
        message = f"{MACHINE} stands {text.count(MACHINE)} times in the name"
        raise InvalidValue(message, "write it once", Code.IMAGE_PLACEHOLDER)
    if MACHINE not in text:
        return _name(text)
    if len(text) > MAX_SEGMENT:
        raise _too_many(len(text), MAX_SEGMENT, "characters")
    if not _is_image_name(text):
        meant = _written(_simplified(text).replace("/", "-"), _is_image_name)
        raise InvalidValue(f"{quoted(text)} is not a name", meant or _SEGMENT_RULE)
    return text


def _is_image_name(text: str) -> bool:
    return bool(is_segment(text.replace(MACHINE, "m")))


def of_machine(image: str, machine: str) -> str:
    """Return what an image is called where a machine writes or reads it.

    At most 117 characters, which the image store takes.
    """
    return image.replace(MACHINE, machine)


def _is_path(text: str) -> bool:
    return all(map(is_segment, text.split("/")))


def _simplified(text: str) -> str:
    return "-".join(text.lower().split(" "))


def _written(meant: str, is_valid: Callable[[str], object]) -> str:
    """Return the hint to write what was probably meant, or nothing."""
    return f"write {_as_text(meant)}" if is_valid(meant) else ""


def _as_text(name: str) -> str:
    """Return a name as a document has it: in quotes where YAML could take it for a number."""
    return f'"{name}"' if name[0].isdigit() else name


def _refused(text: str, noun: str, hint: str) -> InvalidValue:
    if "/" not in text and len(text) > MAX_SEGMENT:
        return _too_many(len(text), MAX_SEGMENT, "characters")
    return InvalidValue(f"{quoted(text)} is not {noun}", hint)


def _too_many(number: int, limit: int, noun: str) -> InvalidValue:
    return InvalidValue(f"the name has {number} {noun}, at most {limit} are allowed", "shorten it")


MachineName = Annotated[str, read_with(_machine_name), shown_as(f"^{_LABEL}$", "node-0713")]
"""A label as RFC 1123 has it, in lower case, because it is the default host name."""

Name = Annotated[str, read_with(_name), shown_as(f"^{_SEGMENT}$", "tokyo-a")]

ImageName = Annotated[
    str, read_with(_image_name), shown_as(f"^{_IMAGE}$", "debian12-golden", f"nightly-{MACHINE}")
]
"""A name that may hold ``{machine}`` once: each machine then has an image of its own."""

PathName = Annotated[
    str,
    read_with(_path_name),
    shown_as(f"^{_SEGMENT}(?:/{_SEGMENT}){{0,19}}$", "tokyo/row2/rack07"),
]
"""A name with up to 20 levels, the uppermost first."""
