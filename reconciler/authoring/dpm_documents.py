"""DeploymentManager's registration files as documents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from reconciler.authoring.checked import diagnostics_of_rows
from reconciler.authoring.dpm import GroupSubnet, Registration
from reconciler.authoring.imported_names import Ids
from reconciler.authoring.machine_row import MachineRow, documents_text, group_text
from reconciler.authoring.scalar import flow_list, scalar
from specs.kinds import API_VERSION
from specs.types.name import MAX_SEGMENT, is_label

if TYPE_CHECKING:
    from specs.types.address_range import AddressRange

_NAMES_ORDER = 100
_ADDRESSES_ORDER = 1000
"""Names are asked first: where both match, DeploymentManager takes the name."""
_NAMES_IN_A_RULE = 1000


class Converted(NamedTuple):
    """Files by name, and what a person should know of them."""

    files: Mapping[str, str]
    notes: tuple[str, ...]
    errors: tuple[str, ...]


def dpm_documents(
    names: Sequence[Registration],
    addresses: Sequence[Registration],
    machines: Sequence[MachineRow],
    server_network: str,
    ids: Ids,
) -> Converted:
    """Return documents for everything that the files say.

    ``server_network`` is the network of groups in the server's own subnet; without it,
    they get none, which a note says. ``ids`` has all groups of ``names`` and ``addresses``.
    ``errors`` are contradictions between lines.
    """
    names = [replace(line, group=ids.groups[line.group]) for line in names]
    addresses = [replace(line, group=ids.groups[line.group]) for line in addresses]
    lines = [*names, *addresses]
    subnets, errors = _subnets(lines)
    networks = _networks(set(subnets.values()))
    places = {line.group: line.place for line in reversed(lines)}
    given = {made: name for name, made in ids.groups.items() if name != made}
    groups = sorted({*places, *(row.group for row in machines)})
    group_networks = {
        group: networks[subnets[group]] if group in subnets else server_network for group in groups
    }
    documents = {
        "networks.yaml": [_network(name, each) for each, name in networks.items()],
        "groups.yaml": [
            group_text(group, given.get(group, ""), group_networks[group]) for group in groups
        ],
        "enrollment.yaml": [*_name_rules(names), *_address_rules(addresses)],
    }
    errors += _contradictions(names)
    errors += _problems(documents["groups.yaml"], [places.get(group, group) for group in groups])
    files = {path: "---\n".join(texts) for path, texts in documents.items()}
    files["machines.yaml"] = documents_text(machines)
    notes = [*_overlaps(addresses)]
    without = [group for group, network in group_networks.items() if not network]
    if without:
        notes.append(
            "in the server's own subnet, so without a network until you set one "
            f"(or use --network): {', '.join(without)}"
        )
    written = {path: text for path, text in files.items() if text}
    return Converted(written, tuple(notes), tuple(errors))


def _problems(documents: Sequence[str], places: Sequence[str]) -> list[str]:
    """Return what is wrong with documents, at the lines that they were made from."""
    found = diagnostics_of_rows("document", documents, range(len(documents)))
    return [f"{places[index]}: {message}" for index, message in found]


def _head(kind: str, name: str) -> str:
    return f"apiVersion: {API_VERSION}\nkind: {kind}\nmetadata:\n  name: {scalar(name)}\n"


def _network(name: str, group_subnet: GroupSubnet) -> str:
    return (
        _head("Network", name)
        + f"spec:\n  subnet: {group_subnet.subnet}\n  gateway: {group_subnet.gateway}\n"
    )


def _rule(name: str, order: int, match: str, group: str) -> str:
    return (
        _head("EnrollmentRule", name)
        + f"spec:\n  order: {order}\n  match:\n    {match}\n  group: {scalar(group)}\n"
    )


def _name_rules(names: Sequence[Registration]) -> Iterable[str]:
    by_group: dict[str, dict[str, str]] = {}
    for each in names:
        by_group.setdefault(each.group, {}).setdefault(each.name.casefold(), each.name)
    rules = [
        (group, list(map(_rule_text, listed.values()))[begin : begin + _NAMES_IN_A_RULE])
        for group, listed in by_group.items()
        for begin in range(0, len(listed), _NAMES_IN_A_RULE)
    ]
    for number, (group, listed) in enumerate(rules, 1):
        name = _rule_name("names", number, group)
        yield _rule(name, _NAMES_ORDER, f"names: {flow_list(listed)}", group)


def _address_rules(addresses: Sequence[Registration]) -> Iterable[str]:
    for number, each in enumerate(addresses, 1):
        if each.addresses is not None:
            name = _rule_name("addresses", number, each.group)
            match = f"addresses: [{each.addresses}]"
            yield _rule(name, _ADDRESSES_ORDER + number, match, each.group)


def _rule_text(name: str) -> str:
    """Return a machine's name as a rule has it: case does not count."""
    return name.lower() if is_label(name.lower()) else name


def _rule_name(kind: str, number: int, group: str) -> str:
    """Return a name that the number makes unique, and the group readable."""
    text = f"dpm-{kind}-{number}-{group.replace('/', '.')}"
    return text[:MAX_SEGMENT].rstrip("._-")


def _subnets(lines: Iterable[Registration]) -> tuple[dict[str, GroupSubnet], list[str]]:
    """Return the subnet of each group that has one of its own, and what contradicts it."""
    found: dict[str, tuple[GroupSubnet, str]] = {}
    errors: list[str] = []
    for line in lines:
        if line.subnet is None:
            continue
        first, place = found.setdefault(line.group, (line.subnet, line.place))
        if first != line.subnet:
            errors.append(
                f"{line.place}: group {line.group} has gateway {line.subnet.gateway} in "
                f"{line.subnet.subnet}, but {first.gateway} in {first.subnet} at {place}"
            )
    distinct = dict(found.values())
    ordered = sorted(distinct, key=lambda each: (each.subnet, each.gateway))
    errors += [
        f"{distinct[one]}: gateway {one.gateway} in {one.subnet} overlaps with gateway "
        f"{other.gateway} in {other.subnet} at {distinct[other]}, so they cannot be two networks"
        for other, one in pairwise(ordered)
        if one.subnet.overlaps(other.subnet)
    ]
    return {group: subnet for group, (subnet, _) in found.items()}, errors


def _networks(subnets: Iterable[GroupSubnet]) -> dict[GroupSubnet, str]:
    ordered = sorted(subnets, key=lambda each: (each.subnet, each.gateway))
    return {
        each: f"net-{each.subnet.network_address}-{each.subnet.prefixlen}".replace(".", "-")
        for each in ordered
    }


def _contradictions(names: Iterable[Registration]) -> list[str]:
    first: dict[str, Registration] = {}
    errors: list[str] = []
    for line in names:
        other = first.setdefault(line.name.casefold(), line)
        if other.group != line.group:
            errors.append(
                f"{line.place}: machine {line.name} belongs to {line.group}, but to "
                f"{other.group} at {other.place}"
            )
    return errors


def _overlaps(addresses: Sequence[Registration]) -> Iterable[str]:
    """Yield a note for each line that an earlier one of another group takes addresses from."""
    spans = sorted(
        ((each.addresses, number) for number, each in enumerate(addresses) if each.addresses),
        key=lambda pair: pair[0].first,
    )
    widest: tuple[AddressRange, int] | None = None
    for span, number in spans:
        if widest is not None and span.first <= widest[0].last:
            one, other = sorted((number, widest[1]))
            if addresses[one].group != addresses[other].group:
                yield (
                    f"{addresses[other].place}: shares addresses with {addresses[one].place}, "
                    "whose rule is asked first; change order where the other shall win"
                )
        if widest is None or span.last > widest[0].last:
            widest = (span, number)
