"""Names and subnet masks from elsewhere as Rackwright writes them.

Each change of a name is listed, and no two become one.
"""

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address

from specs.types.name import MAX_SEGMENT, is_label, is_segment

_ADDRESS_BITS = 32


class ConversionError(Exception):
    """A name cannot be converted; the text says why."""


class Conversions:
    """What was converted so far, in one file or in several that belong together.

    ``place`` is ``FILE:LINE`` throughout.
    """

    def __init__(self) -> None:
        self._groups: dict[str, tuple[str, str]] = {}
        self._machines: dict[str, tuple[str, str]] = {}
        self.lines: list[str] = []
        """What was converted, for people."""

    def machine(self, place: str, given: str) -> str:
        """Return a machine's name; ConversionError when it has none or another has it."""
        name = given if is_label(given) else converted(given)
        if not name:
            raise ConversionError(
                f"{given!r} cannot become a machine's name; write one in Latin letters"
            )
        text, first = self._machines.setdefault(name, (given, place))
        if text != given:
            raise ConversionError(f"machine {given!r} becomes {name}, as does {text!r} at {first}")
        if name != given and first == place:
            self.lines.append(f"{place}: machine {given!r} -> {name}")
        return name

    def group(self, place: str, given: str) -> str:
        """Return a group's path; ConversionError when it has none or another has it.

        Each part is converted by the rule of ``converted``; a slash before the path,
        as DeploymentManager writes it, goes.
        """
        bare = given.strip("/")
        parts = [part if is_segment(part) else converted(part) for part in bare.split("/")]
        if not all(parts):
            raise ConversionError(
                f"{given!r} cannot become a group's name; write it in Latin letters"
            )
        path = "/".join(parts)
        text, first = self._groups.setdefault(path, (bare, place))
        if text != bare:
            raise ConversionError(f"group {given!r} becomes {path}, as does {text!r} at {first}")
        if path != bare and first == place:
            self.lines.append(f"{place}: group {given!r} -> {path}")
        return path


def converted(text: str) -> str:
    """Return the nearest name that is allowed; empty when nothing of ``text`` can be kept.

    The rule: full-width letters become ordinary ones and accents go (Unicode NFKD),
    capitals become small, every run of other characters becomes one ``-``, at most 63
    characters stay, and ``-`` goes at both ends. Text without a Latin letter or digit,
    such as a Japanese name, has no such form.
    """
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(character for character in plain if not unicodedata.combining(character))
    return re.sub(r"[^a-z0-9]+", "-", kept.lower()).strip("-")[:MAX_SEGMENT].strip("-")


def prefix_length(mask: str) -> int:
    """Return the prefix length of a mask such as 255.255.240.0; ValueError says that it is none."""
    try:
        value = int(IPv4Address(mask))
    except AddressValueError:
        value = 1
    length = value.bit_count()
    if value != (1 << _ADDRESS_BITS) - (1 << (_ADDRESS_BITS - length)):
        raise ValueError(f"{mask!r} is not a subnet mask")
    return length
