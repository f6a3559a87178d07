"""Networks: each on its own, then against each other."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from specs.diagnostics.codes import Code
from specs.diagnostics.diagnostic import Diagnostics
from specs.diagnostics.path import Path
from specs.fleet import CompiledNetwork
from specs.kinds.network import Network, NetworkSpec
from specs.types.ipv4 import is_host
from specs.validate.resource import Resource

_RANGE: Path = ("spec", "dhcp", "range")
_GATEWAY: Path = ("spec", "gateway")
_SUBNET: Path = ("spec", "subnet")


def compile_networks(
    resources: Mapping[str, Resource], diagnostics: Diagnostics
) -> dict[str, CompiledNetwork]:
    """Return the networks that can be read, by name; report what does not fit together."""
    networks: dict[str, CompiledNetwork] = {}
    for name, resource in resources.items():
        if isinstance(resource.model, Network):
            spec = resource.model.spec
            _check_gateway(resource, spec, diagnostics)
            _check_range(resource, spec, diagnostics)
            networks[name] = _compiled(resource, spec)
    _check_overlap([(resources[name], networks[name]) for name in networks], diagnostics)
    return networks


def _compiled(resource: Resource, spec: NetworkSpec) -> CompiledNetwork:
    return CompiledNetwork(
        name=resource.name,
        subnet=spec.subnet,
        gateway=spec.gateway,
        nameservers=spec.nameservers,
        domain=spec.domain or "",
        dhcp_mode=spec.dhcp.mode,
        dhcp_range=spec.dhcp.range,
        lease_seconds=spec.dhcp.lease.seconds,
        position=resource.position,
    )


def _check_gateway(resource: Resource, spec: NetworkSpec, diagnostics: Diagnostics) -> None:
    if spec.gateway is not None and not is_host(spec.gateway, spec.subnet):
        diagnostics.error(
            resource.document.position(_GATEWAY),
            Code.OUTSIDE_NETWORK,
            f"spec.gateway: {spec.gateway} is not the address of a host in {spec.subnet}",
            "the gateway is a router inside the subnet",
        )


def _check_range(resource: Resource, spec: NetworkSpec, diagnostics: Diagnostics) -> None:
    found = spec.dhcp.range
    document = resource.document
    if found is None:
        if spec.dhcp.mode == "server" and not resource.is_invalid_at(_RANGE):
            diagnostics.error(
                document.key_position(("spec", "dhcp")),
                Code.DHCP_RANGE,
                "spec.dhcp: mode server wants a range of addresses to lease",
                f"add range: {_suggestion(spec.subnet)}",
            )
        return
    text = f"{found.first}-{found.last}"
    if spec.dhcp.mode != "server":
        diagnostics.warning(
            document.key_position(_RANGE),
            Code.NO_EFFECT,
            f"spec.dhcp.range: has no effect in mode {spec.dhcp.mode}",
            "remove it, or set mode: server",
        )
    if not (is_host(found.first, spec.subnet) and is_host(found.last, spec.subnet)):
        diagnostics.error(
            document.position(_RANGE),
            Code.DHCP_RANGE,
            f"spec.dhcp.range: {text} has an address that no host in {spec.subnet} may have",
            f"for example {_suggestion(spec.subnet)}",
        )
    elif spec.gateway is not None and found.first <= spec.gateway <= found.last:
        diagnostics.error(
            document.position(_RANGE),
            Code.DHCP_RANGE,
            f"spec.dhcp.range: {text} contains the gateway {spec.gateway}",
            "the gateway's address would be leased to a machine; leave it out",
        )


def _suggestion(subnet: IPv4Network) -> str:
    """Return a range in the middle of the subnet."""
    size = subnet.num_addresses
    return f"{subnet[size // 2]}-{subnet[max(size // 2, size * 3 // 4)]}"


def _check_overlap(
    networks: Iterable[tuple[Resource, CompiledNetwork]], diagnostics: Diagnostics
) -> None:
    """Report every network that overlaps one before it in the order of addresses."""
    ordered = sorted(networks, key=lambda pair: (pair[1].subnet, pair[1].name))
    widest: tuple[Resource, CompiledNetwork] | None = None
    for resource, network in ordered:
        if widest is not None and network.subnet.overlaps(widest[1].subnet):
            pair = (widest, (resource, network))
            (other, first), (here, second) = sorted(pair, key=lambda item: item[0].position)
            diagnostics.error(
                here.document.position(_SUBNET),
                Code.SUBNETS_OVERLAP,
                f"spec.subnet: {second.subnet} overlaps {first.subnet} of network {first.name} "
                f"at {other.document.position(_SUBNET)}",
                "an address belongs to one network only",
            )
        else:
            widest = (resource, network)
