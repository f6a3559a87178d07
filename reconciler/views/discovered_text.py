"""What is known of a machine that no document has, for people and programs."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from reconciler.state.discovered import DiscoveredMachine
from reconciler.views.age import ago
from reconciler.views.untrusted import for_terminal
from specs.diagnostics.quote import counted

MOST = 10
"""Machines that ``status`` names; `rackwright adopt` lists all."""
_MOST_ADDRESSES = 4


def discovered_lines(
    machines: Sequence[DiscoveredMachine], now: datetime, most: int = MOST
) -> Iterator[str]:
    """Yield a heading and a line for each machine, no more than ``most``; nothing for none."""
    if not machines:
        return
    yield f"discovered, in no document: {counted(len(machines), 'machine')}"
    for machine in machines[:most]:
        yield f"  {for_terminal(machine.known_by)}  {discovered_line(machine, now)}"
    if len(machines) > most:
        yield f"  and {len(machines) - most:,} more: `rackwright adopt` lists all"


def discovered_line(machine: DiscoveredMachine, now: datetime) -> str:
    """Return what it says of itself and how it was found, in one line without its hardware."""
    agent = machine.agent
    relay = f" through relay {machine.relay}" if machine.relay else ""
    ways = ([f"asked for a boot{relay}"] if machine.booted else []) + (
        ["has an agent"] * bool(agent)
    )
    words = (*_agent_words(machine), *ways, f"heard {ago(machine.last_seen, now)}")
    return for_terminal(", ".join(words))


def _agent_words(machine: DiscoveredMachine) -> list[str]:
    """Return host name, maker and product, system and addresses, as far as they are known."""
    agent = machine.agent
    if agent is None:
        return []
    addresses = [str(each) for each in machine.addresses]
    more = len(addresses) - _MOST_ADDRESSES
    addresses = addresses[:_MOST_ADDRESSES] + ([f"{more} more addresses"] if more > 0 else [])
    words = (agent.hostname, f"{agent.vendor} {agent.product}".strip(), agent.os, *addresses)
    return [each for each in words if each]


def discovered_document(machine: DiscoveredMachine) -> dict[str, Any]:
    """Return all that is known of it, for JSON."""
    agent = machine.agent
    return {
        "macs": list(machine.macs),
        "uuid": machine.uuid,
        "addresses": list(map(str, machine.addresses)),
        "relay": machine.relay,
        "askedForBoot": machine.booted,
        "lastSeen": machine.last_seen.isoformat(),
        "agent": agent
        and {
            "hostname": agent.hostname,
            "addresses": list(agent.addresses),
            "serial": agent.serial,
            "vendor": agent.vendor,
            "product": agent.product,
            "os": agent.os,
            "source": agent.source,
            "token": agent.token_id,
            "group": agent.group,
            "firstSeen": agent.first_at.isoformat(),
            "lastSeen": agent.last_at.isoformat(),
        },
    }
