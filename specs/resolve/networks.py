"""Networks: each on its own, then against each other."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

from specs.code import Code
from specs.compiled import AddressRange, CompiledNetwork
from specs.definition import Definition
from specs.kinds.network import Network, NetworkSpec
from specs.path import Path
from specs.problems import Problems
from specs.value.ipv4 import is_host

_RANGE: Path = ("spec", "dhcp", "range")
_GATEWAY: Path = ("spec", "gateway")
_SUBNET: Path = ("spec", "subnet")


def compile_networks(
    definitions: Mapping[str, Definition], problems: Problems
) -> dict[str, CompiledNetwork]:
    """Return the networks that can be read, by name; report what does not fit together."""
    networks: dict[str, CompiledNetwork] = {}
    for name, definition in definitions.items():
        if isinstance(definition.model, Network):
            spec = definition.model.spec
            _check_gateway(definition, spec, problems)
            _check_range(definition, spec, problems)
            networks[name] = _compiled(definition, spec)
    _check_overlap([(definitions[name], networks[name]) for name in networks], problems)
    return networks


def _compiled(definition: Definition, spec: NetworkSpec) -> CompiledNetwork:
    return CompiledNetwork(
        name=definition.name,
        subnet=spec.subnet,
        gateway=spec.gateway,
        nameservers=spec.nameservers,
        domain=spec.domain or "",
        dhcp_mode=spec.dhcp.mode,
        dhcp_range=spec.dhcp.range,
        lease_seconds=spec.dhcp.lease.seconds,
        position=definition.position,
    )


def _check_gateway(definition: Definition, spec: NetworkSpec, problems: Problems) -> None:
    if spec.gateway is not None and not is_host(spec.gateway, spec.subnet):
        problems.error(
            definition.document.position(_GATEWAY),
            Code.OUTSIDE_NETWORK,
            f"spec.gateway: {spec.gateway} is not the address of a host in {spec.subnet}",
            "the gateway is a router inside the subnet",
        )


def _check_range(definition: Definition, spec: NetworkSpec, problems: Problems) -> None:
    found = spec.dhcp.range
    document = definition.document
    if found is None:
        if spec.dhcp.mode == "server" and not definition.is_broken_at(_RANGE):
            problems.error(
                document.key_position(("spec", "dhcp")),
                Code.DHCP_RANGE,
                "spec.dhcp: mode server wants a range of addresses to lease",
                f"add range: {_suggestion(spec.subnet)}",
            )
        return
    text = f"{found.first}-{found.last}"
    if spec.dhcp.mode != "server":
        problems.warning(
            document.key_position(_RANGE),
            Code.NO_EFFECT,
            f"spec.dhcp.range: has no effect in mode {spec.dhcp.mode}",
            "remove it, or set mode: server",
        )
    if not (is_host(found.first, spec.subnet) and is_host(found.last, spec.subnet)):
        problems.error(
            document.position(_RANGE),
            Code.DHCP_RANGE,
            f"spec.dhcp.range: {text} has an address that no host in {spec.subnet} may have",
            f"for example {_suggestion(spec.subnet)}",
        )
    elif spec.gateway is not None and _contains(found, spec.gateway):
        problems.error(
            document.position(_RANGE),
            Code.DHCP_RANGE,
            f"spec.dhcp.range: {text} contains the gateway {spec.gateway}",
            "the gateway's address would be leased to a machine; leave it out",
        )


def _contains(found: AddressRange, address: IPv4Address) -> bool:
    return found.first <= address <= found.last


def _suggestion(subnet: IPv4Network) -> str:
    """Return a range in the middle of the subnet."""
    size = subnet.num_addresses
    return f"{subnet[size // 2]}-{subnet[max(size // 2, size * 3 // 4)]}"


def _check_overlap(
    networks: Iterable[tuple[Definition, CompiledNetwork]], problems: Problems
) -> None:
    """Report every network that overlaps one before it in the order of addresses."""
    ordered = sorted(networks, key=lambda pair: (pair[1].subnet, pair[1].name))
    widest: tuple[Definition, CompiledNetwork] | None = None
    for definition, network in ordered:
        if widest is not None and network.subnet.overlaps(widest[1].subnet):
            pair = (widest, (definition, network))
            (other, first), (here, second) = sorted(pair, key=lambda item: item[0].position)
            problems.error(
                here.document.position(_SUBNET),
                Code.SUBNETS_OVERLAP,
                f"spec.subnet: {second.subnet} overlaps {first.subnet} of network {first.name} "
                f"at {other.document.position(_SUBNET)}",
                "an address belongs to one network only",
            )
        else:
            widest = (definition, network)
