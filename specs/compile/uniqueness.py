"""What two machines must not share."""

from collections.abc import Callable, Iterable, Iterator

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import Path
from specs.diagnostics.quote import quoted
from specs.validate.resource import Resource

_MACS = ("spec", "hardware", "macs")
_UUID = ("spec", "hardware", "uuid")
_FORMERLY = ("spec", "hardware", "formerly")
_HOST_NAME = ("spec", "identity", "hostname")
_ADDRESSES = ("spec", "identity", "addresses")
_NAME = ("metadata", "name")

MAC_ADDRESS = "MAC address"
UUID = "UUID"
HOST_NAME = "host name"
ADDRESS = "address"

_Property = tuple[str, str, Path]
"""What it is called, its value in normal form, where it stands."""


def check_uniqueness(machines: Iterable[Resource], diagnostics: Diagnostics) -> None:
    """Report every second use of a MAC address, UUID, host name or address, naming the first.

    Hardware whose history a machine continues counts as used by it.
    A machine whose document has another problem is compared by what is valid in it.
    """
    used: dict[tuple[str, str], tuple[Resource, Path]] = {}
    for machine in machines:
        for noun, value, path in properties(machine):
            first = used.setdefault((noun, value), (machine, path))
            if first[0] is not machine or first[1] != path:
                _report(noun, value, (machine, path), first, diagnostics)


def properties(resource: Resource) -> Iterator[_Property]:
    """Yield everything about a machine that no other may share.

    A ``formerly`` without effect is left out: it takes nothing from anybody.
    """
    yield from _of_data(resource)
    yield from (each for each, idle in _former(resource) if idle is None)


def warn_of_idle_history(resource: Resource, diagnostics: Diagnostics) -> None:
    """Warn of each ``formerly`` that names what the machine has now, or named before."""
    for (noun, value, path), first in _former(resource):
        if first is not None:
            diagnostics.warning(
                resource.document.position(path),
                Code.NO_EFFECT,
                f"{resource.document.shown(path)}: has no effect, this machine already has the "
                f"{noun} {value} at {resource.document.position(first)}",
                "remove it: only what the machine no longer has needs to be named",
            )


def _former(resource: Resource) -> Iterator[tuple[_Property, Path | None]]:
    """Yield the hardware that a machine was formerly, and where it says the same before."""
    found = [
        (path, text) for path, text in resource.values((*_FORMERLY, "*")) if isinstance(text, str)
    ]
    if not found:
        return
    known = {
        (noun, value): path for noun, value, path in _of_data(resource) if path[:2] == _MACS[:2]
    }
    for path, text in found:
        form, _, value = text.lower().partition(":")
        noun, value = (UUID, value) if form == "uuid" else (MAC_ADDRESS, value.replace("-", ":"))
        first = known.setdefault((noun, value), path)
        yield (noun, value, path), None if first == path else first


_DATA: tuple[tuple[str, tuple[str, ...], Callable[[str], str]], ...] = (
    (MAC_ADDRESS, (*_MACS, "*"), lambda text: text.lower().replace("-", ":")),
    (UUID, _UUID, str.lower),
    (HOST_NAME, _HOST_NAME, str.lower),
    (ADDRESS, (*_ADDRESSES, "*"), lambda text: text.partition("/")[0]),
)


def _of_data(resource: Resource) -> Iterator[_Property]:
    for noun, pattern, normalise in _DATA:
        for path, text in resource.values(pattern):
            if isinstance(text, str):
                yield noun, normalise(text), path
    named = resource.document.value(_HOST_NAME) is not None
    if not named and not resource.is_invalid_at(_HOST_NAME):
        yield HOST_NAME, resource.name, _NAME


def _report(
    noun: str,
    value: str,
    second: tuple[Resource, Path],
    first: tuple[Resource, Path],
    diagnostics: Diagnostics,
) -> None:
    machine, path = second
    other, other_path = first
    owner = "this machine" if other is machine else f"machine {quoted(other.name)}"
    continued = _is_former(other_path)
    diagnostics.error(
        machine.document.position(path),
        Code.USED_TWICE,
        f"{machine.document.shown(path)}: the {noun} {value} is already "
        f"{'a former one of' if continued else 'used by'} {owner} "
        f"at {other.document.position(other_path)}",
        "the history of hardware goes on in one machine: name it in one of the two places"
        if continued or _is_former(path)
        else f"each machine has its own {noun}",
    )


def _is_former(path: Path) -> bool:
    return path[: len(_FORMERLY)] == _FORMERLY
