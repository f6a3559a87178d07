r"""Registration files (``reg export``): text to keys and values. Pure.

Form: "Windows Registry Editor Version 5.00", UTF-16 with its mark. Sources: Microsoft, "How to
add, modify, or delete registry subkeys and values by using a .reg file"; "Registry Value Types"
for the numbers in ``hex(N)``. A line break within a string is written as it is, so that lines
are no units.
"""

import codecs
import re
from collections.abc import Mapping
from typing import Union

from attrs import field, frozen

_HEAD = "Windows Registry Editor Version 5.00"
_SECTION = re.compile(r"\[([^\r\n]*)\][ \t]*(?=[\r\n]|\Z)")
_NAME = re.compile(r'(?:@|"([^"\\]*(?:\\.[^"\\]*)*)")=', re.DOTALL)
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_DWORD = re.compile(r"dword:([0-9a-fA-F]{1,8})(?![0-9a-fA-F])")
_HEX = re.compile(r"hex(?:\(([0-9a-fA-F]{1,8})\))?:([0-9a-fA-F,\s\\]*)")
_SPACE = re.compile(r"\s+|;[^\r\n]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MOST_SHOWN = 40

_KINDS = {
    0: "REG_NONE",
    1: "REG_SZ",
    2: "REG_EXPAND_SZ",
    3: "REG_BINARY",
    4: "REG_DWORD",
    5: "REG_DWORD_BIG_ENDIAN",
    6: "REG_LINK",
    7: "REG_MULTI_SZ",
    11: "REG_QWORD",
}
_BINARY = 3
_INTEGERS = {"REG_DWORD": "little", "REG_DWORD_BIG_ENDIAN": "big", "REG_QWORD": "little"}

HIVES = {
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKCU": "HKEY_CURRENT_USER",
    "HKCR": "HKEY_CLASSES_ROOT",
    "HKU": "HKEY_USERS",
    "HKCC": "HKEY_CURRENT_CONFIG",
}

Data = Union[str, int, bytes, "tuple[str, ...]"]


class RegistryFormatError(ValueError):
    """A text that is no registration file."""


@frozen
class RegistryValue:
    """A value. ``data`` is text, a number, texts (REG_MULTI_SZ) or bytes, by its kind."""

    kind: str
    data: Data

    @property
    def text(self) -> str:
        """The value as people write it: numbers decimal, texts line by line, bytes as digits."""
        if isinstance(self.data, bytes):
            return self.data.hex()
        if isinstance(self.data, tuple):
            return "\n".join(self.data)
        return str(self.data)


@frozen
class RegistryKey:
    """A key. Values have the names' lower case, the default one has the empty name."""

    path: str
    """With its hive's long name, in the case that it has."""
    values: Mapping[str, RegistryValue] = field(factory=dict)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("\\")[2]

    def text(self, name: str) -> str:
        """Return a value as text; empty where there is none."""
        value = self.values.get(name.lower())
        return "" if value is None else value.text

    def number(self, name: str) -> int:
        """Return a number; 0 where there is none."""
        value = self.values.get(name.lower())
        return value.data if value is not None and isinstance(value.data, int) else 0


Keys = Mapping[str, RegistryKey]
"""By their paths' lower case."""

NOTHING: Keys = {}


def long_path(path: str) -> str:
    """Return a key's path with its hive's long name and without outer backslashes."""
    hive, _, rest = path.strip("\\").partition("\\")
    hive = HIVES.get(hive.upper(), hive)
    return f"{hive}\\{rest}" if rest else hive


def find(keys: Keys, path: str) -> RegistryKey | None:
    """Return a key by its path, in any case; None where it is not there."""
    return keys.get(long_path(path).lower())


def children(keys: Keys, path: str) -> tuple[RegistryKey, ...]:
    """Return the keys right below one, in the order of the file."""
    parent = long_path(path).lower()
    return tuple(key for low, key in keys.items() if low.rpartition("\\")[0] == parent)


def parse(data: bytes) -> Keys:
    """Return the keys of a registration file; RegistryFormatError where it is none."""
    text = _decoded(data)
    place = _skip(text, len(_HEAD)) if text.startswith(_HEAD) else -1
    if place < 0:
        raise RegistryFormatError(f"it does not begin with {_HEAD!r}")
    keys: dict[str, RegistryKey] = {}
    values: dict[str, RegistryValue] | None = None
    while place < len(text):
        section = _SECTION.match(text, place)
        if section:
            path = section.group(1)
            values = {}
            keys.setdefault(path.lower(), RegistryKey(path, values))
            place = section.end()
        else:
            name = _NAME.match(text, place)
            if name is None or values is None:
                raise _unexpected(text, place)
            value, place = _value(text, name.end())
            values[_plain(name.group(1) or "").lower()] = value
        place = _skip(text, place)
    return keys


def _decoded(data: bytes) -> str:
    if not data.startswith(codecs.BOM_UTF16_LE):
        raise RegistryFormatError("it is not UTF-16 with its mark")
    return data[2:].decode("utf-16-le", "surrogatepass" if len(data) % 2 == 0 else "replace")


def _skip(text: str, place: int) -> int:
    """Return the place after white space and comments."""
    while (found := _SPACE.match(text, place)) is not None:
        place = found.end()
    return place


def _value(text: str, place: int) -> tuple[RegistryValue, int]:
    if (found := _STRING.match(text, place)) is not None:
        return RegistryValue("REG_SZ", _plain(found.group(1))), found.end()
    if (found := _DWORD.match(text, place)) is not None:
        return RegistryValue("REG_DWORD", int(found.group(1), 16)), found.end()
    if (found := _HEX.match(text, place)) is not None:
        number = int(found.group(1), 16) if found.group(1) else _BINARY
        try:
            data = bytes.fromhex(re.sub(r"[,\s\\]+", " ", found.group(2)))
        except ValueError as error:
            raise _unexpected(text, place) from error
        kind = _KINDS.get(number, f"REG_{number}")
        return RegistryValue(kind, _typed(kind, data)), found.end()
    raise _unexpected(text, place)


def _typed(kind: str, data: bytes) -> Data:
    if kind in ("REG_SZ", "REG_EXPAND_SZ", "REG_LINK"):
        return data.decode("utf-16-le", "replace").rstrip("\0")
    if kind == "REG_MULTI_SZ":
        texts = data.decode("utf-16-le", "replace").split("\0")
        return tuple(text for text in texts if text)
    if kind == "REG_DWORD_BIG_ENDIAN":
        return int.from_bytes(data, "big")
    return int.from_bytes(data, "little") if kind in _INTEGERS else data


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _unexpected(text: str, place: int) -> RegistryFormatError:
    return RegistryFormatError(f"unexpected at {place}: {text[place : place + _MOST_SHOWN]!r}")
