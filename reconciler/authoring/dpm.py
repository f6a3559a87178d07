"""DeploymentManager's registration files, as its Operation Guide 2.2.2 describes them.

``GroupAsName.ini``, one line for each machine name::

    group;machine name[;default gateway;subnet mask]

``GroupAsIp.ini``, one line for each address, or with a mask for its whole subnet::

    group;address[;mask[;default gateway;subnet mask]]

A group is a path such as ``/Group2/Subgroup21``. Gateway and mask describe the subnet
of the group; when one of the two is missing, the group is in the server's own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from reconciler.authoring.conversions import prefix_length
from reconciler.authoring.imported_names import ImportedNames
from specs.types.address_range import AddressRange
from specs.types.display_name import misleading
from specs.types.ipv4 import hosts
from specs.types.pattern import is_pattern

_NAME_FIELDS = 4
_ADDRESS_FIELDS = 5


@dataclass(frozen=True, slots=True)
class GroupSubnet:
    """The subnet that a line gives to its group."""

    gateway: IPv4Address
    subnet: IPv4Network


@dataclass(frozen=True, slots=True)
class Registration:
    """One line: what is to be recognised, and where it belongs."""

    place: str
    """``FILE:LINE``"""
    group: str
    """As it is written."""
    name: str
    """A machine's name as it is written, which is what its agent gives; empty for addresses."""
    addresses: AddressRange | None
    subnet: GroupSubnet | None


class _LineError(Exception):
    """A line that says nothing usable; the text says why."""


def read_names(file: str, text: str, names: ImportedNames) -> tuple[list[Registration], list[str]]:
    """Return the lines of a ``GroupAsName.ini``, and all that is wrong with it.

    Groups are added to ``names``; machines are not, as none is written down.
    """

    def registration(place: str, fields: list[str]) -> Registration:
        group, name, gateway, mask = _padded(fields, _NAME_FIELDS)
        if not name:
            raise _LineError("no machine name after the group")
        if is_pattern(name):
            raise _LineError(f"{name!r} would mean many machines; a name has neither * nor ?")
        subnet = _subnet(gateway, mask)
        return Registration(place, _group(place, group, names), name, None, subnet)

    return _read(file, text, registration)


def read_addresses(
    file: str, text: str, names: ImportedNames
) -> tuple[list[Registration], list[str]]:
    """Return the lines of a ``GroupAsIp.ini``, and all that is wrong with it."""

    def registration(place: str, fields: list[str]) -> Registration:
        group, address, mask, gateway, group_mask = _padded(fields, _ADDRESS_FIELDS)
        addresses, subnet = _range(address, mask), _subnet(gateway, group_mask)
        return Registration(place, _group(place, group, names), "", addresses, subnet)

    return _read(file, text, registration)


def _read(
    file: str, text: str, registration: Callable[[str, list[str]], Registration]
) -> tuple[list[Registration], list[str]]:
    found: list[Registration] = []
    errors: list[str] = []
    for place, fields in _lines(file, text):
        try:
            if any(map(misleading, fields)):
                raise _LineError("characters that cannot be shown")  # noqa: TRY301 - one report
            found.append(registration(place, fields))
        except _LineError as error:
            errors.append(f"{place}: {error}")
    return found, errors


def _lines(file: str, text: str) -> Iterator[tuple[str, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{file}:{number}", [field.strip() for field in line.split(";")]


def _padded(fields: list[str], count: int) -> list[str]:
    if any(fields[count:]):
        raise _LineError(f"{len(fields)} fields, at most {count} are known")
    return [*fields, *[""] * count][:count]


def _group(place: str, group: str, names: ImportedNames) -> str:
    """Return the group, which is now one of ``names``."""
    if not group.strip("/"):
        raise _LineError("no group at the beginning")
    try:
        names.group(place, group)
    except ValueError as error:
        raise _LineError(str(error)) from error
    return group.strip("/")


def _range(text: str, mask: str) -> AddressRange:
    """Return the addresses that machines can have: without the subnet's own and broadcast."""
    address = _address(text)
    if not mask:
        return AddressRange(address, address)
    subnet = IPv4Interface((address, _prefix(mask))).network
    inside = hosts(subnet)
    return AddressRange(IPv4Address(inside[0]), IPv4Address(inside[-1]))


def _subnet(gateway: str, mask: str) -> GroupSubnet | None:
    if not gateway or not mask:
        return None
    address = _address(gateway)
    subnet = IPv4Interface((address, _prefix(mask))).network
    if address in {subnet.network_address, subnet.broadcast_address}:
        raise _LineError(f"the gateway {address} is the own or broadcast address of {subnet}")
    return GroupSubnet(address, subnet)


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise _LineError(f"{text!r} is not an IPv4 address") from None


def _prefix(mask: str) -> int:
    try:
        return prefix_length(mask)
    except ValueError as error:
        raise _LineError(str(error)) from error
