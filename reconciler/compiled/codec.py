"""Records as plain JSON and back, by the declarations of their fields.

A record (a NamedTuple or a data class) is a list of its fields in their order, a union of
records begins with the class's name. A field that is added to ``specs.fleet`` needs nothing
here, unless it is of a type that JSON lacks and that no other field has (``_SCALARS``).
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from functools import cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from json import JSONEncoder, loads
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from specs.diagnostics.codes import Code

_Convert = Callable[[Any], Any]

dumps = JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Codec(NamedTuple):
    """How values of one type become JSON data and back.

    ``decode`` may use up the lists that it is given.
    """

    encode: _Convert
    decode: _Convert

    def text(self, value: Any) -> str:  # noqa: ANN401 - a value of the type
        """Return a value as JSON."""
        return dumps(self.encode(value))

    def value(self, text: str) -> Any:  # noqa: ANN401 - a value of the type
        """Return the value of a JSON text."""
        return self.decode(loads(text))


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    return value


_PLAIN = Codec(_as_it_is, _as_it_is)
_SCALARS: Mapping[Any, Codec] = {
    bool: _PLAIN,
    int: _PLAIN,
    str: _PLAIN,
    NoneType: _PLAIN,
    Code: Codec(str, Code),
    date: Codec(date.isoformat, date.fromisoformat),
    datetime: Codec(datetime.isoformat, datetime.fromisoformat),
    IPv4Address: Codec(int, IPv4Address),
    IPv4Interface: Codec(
        lambda value: [int(value), value.network.prefixlen], lambda row: IPv4Interface(tuple(row))
    ),
    IPv4Network: Codec(str, IPv4Network),
}


@cache
def codec_of(kind: Any) -> Codec:  # noqa: ANN401 - any annotation
    """Return the codec of a type as annotations have it; TypeError for one that is not known."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _PLAIN
    if origin is tuple and arguments[1:] == (...,):
        return _sequence(codec_of(arguments[0]))
    if origin is Mapping:
        return _mapping(codec_of(arguments[1]))
    if origin in {Union, UnionType}:
        return _union(arguments)
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind)
    raise TypeError(f"no codec for {kind}")


@cache
def field_types(kind: Any) -> Mapping[str, Any]:  # noqa: ANN401 - any annotation
    """Return the fields of a record with their types, in their order."""
    names = [each.name for each in fields(kind)] if is_dataclass(kind) else kind._fields
    types = get_type_hints(kind)
    return {name: types[name] for name in names}


def _record(kind: Any) -> Codec:  # noqa: ANN401 - any annotation
    names = tuple(field_types(kind))
    codecs = [codec_of(each) for each in field_types(kind).values()]
    encoders = [each.encode for each in codecs]
    odd = [(place, each.decode) for place, each in enumerate(codecs) if each is not _PLAIN]

    def encode(value: Any) -> Any:  # noqa: ANN401 - a record
        return [
            convert(getattr(value, name)) for name, convert in zip(names, encoders, strict=True)
        ]

    def decode(row: list[Any]) -> Any:  # noqa: ANN401 - a record
        for place, convert in odd:
            row[place] = convert(row[place])
        return kind(*row)

    return Codec(encode, decode)


def _sequence(item: Codec) -> Codec:
    if item is _PLAIN:
        return Codec(list, tuple)
    return Codec(
        lambda value: [item.encode(each) for each in value],
        lambda row: tuple([item.decode(each) for each in row]),
    )


def _mapping(item: Codec) -> Codec:
    if item is _PLAIN:
        return Codec(dict, dict)
    return Codec(
        lambda value: {key: item.encode(each) for key, each in value.items()},
        lambda row: {key: item.decode(each) for key, each in row.items()},
    )


def _union(kinds: tuple[Any, ...]) -> Codec:
    present = [kind for kind in kinds if kind is not NoneType]
    if len(present) > 1:
        inner = _tagged({kind.__name__: kind for kind in present})
    else:
        inner = codec_of(present[0])
    if inner is _PLAIN or len(present) == len(kinds):
        return inner
    return Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda row: None if row is None else inner.decode(row),
    )


def _tagged(kinds: Mapping[str, Any]) -> Codec:
    codecs = {name: codec_of(kind) for name, kind in kinds.items()}

    def encode(value: Any) -> Any:  # noqa: ANN401 - one of the records
        name = type(value).__name__
        return [name, codecs[name].encode(value)]

    def decode(row: list[Any]) -> Any:  # noqa: ANN401 - one of the records
        name, fields_of_it = row
        return codecs[name].decode(fields_of_it)

    return Codec(encode, decode)
