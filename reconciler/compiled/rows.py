"""What is kept of one file: its machines as rows, and what the rest of the fleet asks of it.

The form is JSON. Machines of a file differ in few fields: what some of them have shared
stands once. Origins of single fields are left out, but for those that plans show: of
assignments and of protection.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from json import loads
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from reconciler.compiled.codec import codec_of, dumps, field_types
from specs.diagnostics.diagnostic import Diagnostic
from specs.fleet import PROTECT, CompiledMachine

_OWN = ("name", "hostname", "macs", "uuid", "serial", "addresses")
"""What machines seldom have in common. Correctness does not depend on it, only size."""


class Lines(NamedTuple):
    """A document as it is written. ``first_line`` counts from 0.

    As ``specs.yaml.Section`` has it, which would load a parser where the cache answers.
    """

    first_line: int
    text: str


class FileFacts(NamedTuple):
    """What the fleet asks of a file besides its machines."""

    others: tuple[Lines, ...]
    """Documents that belong to the context."""
    keys: bytes
    """What no other file may have too, as ``hashed`` gives it."""
    selected: tuple[int, ...]
    """How many of its machines each selector of the context means."""
    machine_count: int
    warnings: tuple[Diagnostic, ...]


class FileRows(NamedTuple):
    """One file, compiled."""

    facts: FileFacts
    machines: str
    """As ``encode_machines`` gives them."""


OTHERS = codec_of(tuple[Lines, ...])
WARNINGS = codec_of(tuple[Diagnostic, ...])


def hashed(keys: Iterable[str]) -> bytes:
    """Return 64 bits of each unique key.

    Two keys with the same 64 bits are rarer than a broken memory cell, and do no harm: they
    look like a conflict, for which the whole fleet is compiled again.
    """
    return b"".join(blake2b(each.encode(), digest_size=8).digest() for each in keys)


def are_unique(facts: Iterable[FileFacts]) -> bool:
    """Return whether no unique key is there twice."""
    keys = array("Q", b"".join([each.keys for each in facts]))
    return len(set(keys)) == len(keys)


_FIELDS = field_types(CompiledMachine)
_CODECS = {name: codec_of(kind) for name, kind in _FIELDS.items()}
_SHARED = tuple(name for name in _FIELDS if name not in _OWN)
_own_values = attrgetter(*_OWN)
_in_order = itemgetter(*((*_OWN, *_SHARED).index(name) for name in _FIELDS))


def encode_machines(machines: Iterable[CompiledMachine]) -> str:
    """Return machines as JSON: what some have shared, as texts, then a row for each."""
    shared: dict[str, int] = {}
    rows = []
    for machine in machines:
        text = dumps(_encoded(_SHARED, [_kept(machine, name) for name in _SHARED]))
        place = shared.setdefault(text, len(shared))
        rows.append([place, *_encoded(_OWN, _own_values(machine))])
    return dumps([list(shared), rows])


def _kept(machine: CompiledMachine, name: str) -> Any:  # noqa: ANN401 - the value of a field
    if name == "origins":  # all of them would have to be looked for in the document
        return {PROTECT: machine.origins[PROTECT]} if machine.protect else {}
    return getattr(machine, name)


def decode_machines(texts: Sequence[str]) -> Iterator[CompiledMachine]:
    """Yield the machines of many files."""
    known: dict[str, list[Any]] = {}
    odd = [
        (place, _CODECS[name].decode)
        for place, name in enumerate(_OWN)
        if _CODECS[name] is not codec_of(str)
    ]
    for texts_shared, rows in loads(f"[{','.join(texts)}]"):
        shared = []
        for text in texts_shared:
            if text not in known:
                known[text] = _decoded(_SHARED, loads(text))
            shared.append(known[text])
        for place, *own in rows:
            for index, decode in odd:
                own[index] = decode(own[index])
            yield CompiledMachine(*_in_order(own + shared[place]))


def _encoded(names: Sequence[str], values: Sequence[Any]) -> list[Any]:
    return [_CODECS[name].encode(value) for name, value in zip(names, values, strict=True)]


def _decoded(names: Sequence[str], row: Sequence[Any]) -> list[Any]:
    return [_CODECS[name].decode(value) for name, value in zip(names, row, strict=True)]
