"""ip: addresses and links."""

import json

from agent.commands.runner import run_command
from agent.errors import TerminalError


def address_arguments() -> list[str]:
    """Return the command that lists all addresses as JSON."""
    return ["ip", "-j", "address", "show"]


def global_addresses() -> tuple[str, ...]:
    """Return the addresses of global scope; CommandError, or TerminalError RW569."""
    return parse_addresses(run_command(address_arguments()).stdout)


def parse_addresses(output: bytes) -> tuple[str, ...]:
    """Return ``10.20.7.13/24`` and the like from ``ip -j address show``.

    TerminalError RW569 where that is not what it printed.
    """
    try:
        return tuple(
            f"{address['local']}/{address['prefixlen']}"
            for link in json.loads(output)
            for address in link.get("addr_info", ())
            if address.get("scope") == "global"
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TerminalError(
            "RW569",
            f"ip printed no list of addresses: {error!r}",
            "Compare the version of iproute2 with the supported ones",
        ) from error


def parse_links(output: bytes) -> list[str]:
    """Return the names of the interfaces that ``ip -json link show`` lists."""
    return [link["ifname"] for link in json.loads(output or b"[]") if link]
