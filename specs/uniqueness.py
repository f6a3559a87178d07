"""What two machines must not share."""

from collections.abc import Callable, Iterable, Iterator

from specs.code import Code
from specs.definition import Definition
from specs.kinds.machine import Machine
from specs.path import Path, dotted
from specs.problems import Problems
from specs.quotation import quoted

_MACS = ("spec", "hardware", "macs")
_UUID = ("spec", "hardware", "uuid")
_HOST_NAME = ("spec", "identity", "hostname")
_ADDRESSES = ("spec", "identity", "addresses")
_NAME = ("metadata", "name")

MAC_ADDRESS = "MAC address"
UUID = "UUID"
HOST_NAME = "host name"
ADDRESS = "address"

_Property = tuple[str, str, Path]
"""What it is called, its value in normal form, where it stands."""


def check_uniqueness(machines: Iterable[Definition], problems: Problems) -> None:
    """Report every second use of a MAC address, UUID, host name or address, naming the first.

    A machine whose document has another problem is compared by what is sound in it.
    """
    used: dict[tuple[str, str], tuple[Definition, Path]] = {}
    for machine in machines:
        for noun, value, path in properties(machine):
            first = used.setdefault((noun, value), (machine, path))
            if first[0] is not machine or first[1] != path:
                _report(noun, value, (machine, path), first, problems)


def properties(definition: Definition) -> Iterator[_Property]:
    """Yield everything about a machine that no other may share."""
    if isinstance(definition.model, Machine) and not definition.broken:
        return _of_model(definition.model)
    return _of_data(definition)


def _of_model(machine: Machine) -> Iterator[_Property]:
    for index, mac in enumerate(machine.spec.hardware.macs):
        yield MAC_ADDRESS, mac, (*_MACS, index)
    if machine.spec.hardware.uuid is not None:
        yield UUID, machine.spec.hardware.uuid, _UUID
    identity = machine.spec.identity
    if identity.hostname is not None:
        yield HOST_NAME, identity.hostname.lower(), _HOST_NAME
    else:
        yield HOST_NAME, machine.metadata.name, _NAME
    for index, address in enumerate(identity.addresses):
        yield ADDRESS, str(address.ip), (*_ADDRESSES, index)


_DATA: tuple[tuple[str, tuple[str, ...], Callable[[str], str]], ...] = (
    (MAC_ADDRESS, (*_MACS, "*"), lambda text: text.lower().replace("-", ":")),
    (UUID, _UUID, str.lower),
    (HOST_NAME, _HOST_NAME, str.lower),
    (ADDRESS, (*_ADDRESSES, "*"), lambda text: text.partition("/")[0]),
)


def _of_data(definition: Definition) -> Iterator[_Property]:
    for noun, pattern, normalise in _DATA:
        for path, text in definition.values(pattern):
            if isinstance(text, str):
                yield noun, normalise(text), path
    named = definition.document.value(_HOST_NAME) is not None
    if not named and not definition.is_broken_at(_HOST_NAME):
        yield HOST_NAME, definition.name, _NAME


def _report(
    noun: str,
    value: str,
    second: tuple[Definition, Path],
    first: tuple[Definition, Path],
    problems: Problems,
) -> None:
    machine, path = second
    other, other_path = first
    owner = "this machine" if other is machine else f"machine {quoted(other.name)}"
    problems.error(
        machine.document.position(path),
        Code.USED_TWICE,
        f"{dotted(path)}: the {noun} {value} is already used by {owner} "
        f"at {other.document.position(other_path)}",
        f"each machine has its own {noun}",
    )
