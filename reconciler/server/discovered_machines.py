"""Machines that no document has and whose agents say how they are. They get no work."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from agent.wire.enrollment import EnrollmentRequest
from agent.wire.report import Report
from reconciler.server.claimed_hardware import ClaimedHardware, valid_addresses, valid_text
from reconciler.state.database import Database
from reconciler.state.discovered import DiscoveredAgent
from reconciler.state.discovered_agents import DiscoveredAgents
from reconciler.state.hardware import FleetHardware
from reconciler.state.join_tokens import Join

PREFIX = "discovered:"
"""What the names of such agents begin with: no machine's name has a colon."""
REPEAT = timedelta(minutes=5)
"""After this long an agent that says nothing new is noted to be there still."""


def is_discovered(name: str) -> bool:
    """Return whether a certificate's name is that of a machine of no document."""
    return name.startswith(PREFIX)


class DiscoveredMachines:
    """Takes down what such agents say."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._agents = DiscoveredAgents(database)
        self._clock = clock

    def all(self) -> tuple[DiscoveredAgent, ...]:
        """Return all that are known, the one that was heard last first."""
        return self._agents.all()

    @staticmethod
    def name_of(claimed: ClaimedHardware) -> str:
        """Return the name for a certificate: it depends on the hardware alone.

        On the UUID in whichever byte order, else on the NICs in whichever order.
        """
        board = min((f"uuid:{uuid}" for uuid in claimed.uuids), default="")
        return PREFIX + (board or f"mac:{min(claimed.nics)}")

    def enrolled(self, join: Join, request: EnrollmentRequest) -> None:
        """Note a machine whose agent joined."""
        self._agents.put(
            DiscoveredAgent(
                name=join.machine,
                identities=join.identities,
                hostname=valid_text(request.hostname),
                addresses=valid_addresses(request.addresses),
                serial=valid_text(request.serial),
                vendor=valid_text(request.vendor),
                product=valid_text(request.product),
                os=valid_text(request.os),
                source=join.source,
                token_id=join.token_id,
                first_at=join.used_at,
                last_at=join.used_at,
            )
        )

    def reported(
        self, enrolled: tuple[str, ...], report: Report, source: str, fleet: FleetHardware
    ) -> str:
        """Note how a machine is; return why not, as a clause: its hardware is another.

        ``enrolled`` is the hardware that the agent's certificate is for.
        """
        claimed = ClaimedHardware.named(report.hardware.uuid, report.hardware.macs)
        if set(claimed.identities).isdisjoint(enrolled):
            return "it has nothing of the hardware that it enrolled with"
        for identity in claimed.identities:
            for owner in fleet.claimants(identity):
                return f"{identity} is {owner}'s"
        now, name = self._clock(), self.name_of(_hardware(enrolled))
        known = self._agents.of_name(name)
        before = known or DiscoveredAgent(name, now, now)
        heard = _heard(before, claimed, report, source, now)
        if known is None or heard != replace(known, last_at=now) or now - known.last_at >= REPEAT:
            self._agents.put(heard)
        return ""


def _hardware(identities: tuple[str, ...]) -> ClaimedHardware:
    uuids = tuple(each.removeprefix("uuid:") for each in identities if each.startswith("uuid:"))
    macs = tuple(each.removeprefix("mac:") for each in identities if each.startswith("mac:"))
    return ClaimedHardware.named(uuids[0] if uuids else "", macs)


def _heard(
    before: DiscoveredAgent, claimed: ClaimedHardware, report: Report, source: str, now: datetime
) -> DiscoveredAgent:
    """Return what is known after a report; the Deploy-OS says nothing of the system on the disk."""
    system, hardware = report.installed, report.hardware
    return replace(
        before,
        identities=claimed.identities,
        hostname=valid_text(system.hostname) if system else before.hostname,
        addresses=valid_addresses(system.addresses) if system else before.addresses,
        serial=valid_text(hardware.serial),
        vendor=valid_text(hardware.vendor),
        product=valid_text(hardware.product),
        os=valid_text(system.os) if system else before.os,
        source=source,
        last_at=now,
    )
