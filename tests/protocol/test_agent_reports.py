"""Reports over the server's own API: real certificates, real TLS, the agent's own client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import evolve
from builders.outside import FakeOutside
from builders.world import (
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_image,
    an_installed_system,
)
from cryptography import x509
from structlog.testing import capture_logs

from agent.clock import Clock
from agent.credentials import Credentials, CredentialStore
from agent.enroll import Invitation, enroll
from agent.errors import TerminalError
from agent.retry import RetryPolicy
from agent.transport import PinnedServer, Transport
from agent.wire.report import Hardware, Report
from agent.work_channel import WorkChannel
from providers.imaging.store import ChunkStore
from reconciler.loop.approval import approve
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import plan
from reconciler.server.agent_api import AgentApi
from reconciler.server.control_plane import AgentEndpoint, ControlPlane
from reconciler.server.enrollment import Enroller
from reconciler.server.evidence import EvidenceKeeper
from reconciler.server.notifier import Notifier
from reconciler.state.database import Database, open_database
from reconciler.state.grants import Token
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from reconciler.state.run_evidence import RunEvidence
from reconciler.state.world import observe
from reconciler.trust.authority import Authority
from reconciler.trust.tls import server_context
from reconciler.trust.token import new_token, token_digest
from specs.fleet import CompiledMachine

pytestmark = pytest.mark.timeout(60)

NODE = a_machine(1, "clone-golden")
OTHER = a_machine(2, "clone-golden")
ADDRESS = "127.0.0.1"
QUICK = Clock(pause=lambda _seconds: None, chance=lambda: 0.0)
BRIEF = RetryPolicy(first=0.01, cap=0.01, limit=0.05)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Server:
    """A control plane that listens, and whom its agents take it for."""

    database: Database
    plane: ControlPlane
    url: str
    pin: str
    directory: Path
    operations: dict[str, str]

    def observed(self) -> Observed:
        machines = self.plane.reconciler.fleet.machines.values()
        return observe(self.database, machines, {"debian12": an_image()}, now())

    def use(self, *machines: CompiledMachine) -> None:
        """Go on with another revision of the fleet."""
        self.plane.reconciler.use(a_fleet(*machines), FleetHardware(machines))

    async def enrolled(
        self, machine: CompiledMachine, environment: str = "installed"
    ) -> Credentials:
        """Return a certificate that the machine got for a token of its operation."""
        token = new_token()
        self.plane.grants.store_token(
            Token(
                token_digest(token),
                self.operations[machine.name],
                1,
                machine.name,
                environment,
                now() + timedelta(hours=1),
            )
        )
        store = CredentialStore(self.directory / f"{machine.name}-{environment}")
        invitation = Invitation(self.url, self.pin, token, environment)
        hardware = a_report(machine).hardware
        return await asyncio.to_thread(enroll, invitation, store, hardware, BRIEF, QUICK)

    async def report(self, credentials: Credentials, report: Report) -> None:
        transport = Transport(self.url, PinnedServer(self.pin), credentials)
        try:
            await asyncio.to_thread(WorkChannel(transport).report, report)
        finally:
            transport.close()


@asynccontextmanager
async def serving(directory: Path, *machines: CompiledMachine) -> AsyncIterator[Server]:
    """Serve the agents' API for these machines, each with an approved operation."""
    database = open_database(directory / "rackwright.db")
    authority = Authority.load_or_create(directory / "trust", now())
    credentials = authority.server_credentials(IPv4Address(ADDRESS), now())
    endpoint = AgentEndpoint(f"https://{ADDRESS}", credentials.pin)
    fleet = a_fleet(*machines)
    reconciler = Reconciler(database, fleet, FleetHardware(machines), FakeOutside(), now)
    plane = ControlPlane(database, reconciler, endpoint, now)
    for machine in machines:
        plane.machines.record_report(machine, a_report(machine, a_disk("first")), now())
    seen = observe(database, machines, {"debian12": an_image()}, now())
    made = plan(fleet, seen, now())
    approve(plane.ledger, made, made.to_apply, "ada", now())
    enroller = Enroller(plane, authority, x509.random_serial_number)
    application = web.Application()
    store = ChunkStore(directory / "store", reserve=0)
    evidence = EvidenceKeeper(
        RunEvidence(database, directory / "runs"), lambda: fleet.settings, now
    )
    application.add_routes(AgentApi(plane, enroller, store, Notifier(), evidence).routes())
    server = TestServer(application, host=ADDRESS)
    await server.start_server(ssl=server_context(credentials, authority.authority_pem))
    operations = {
        status.operation.machine: status.operation.op_id for status in plane.ledger.operations()
    }
    try:
        url = f"https://{ADDRESS}:{server.port}"
        yield Server(database, plane, url, credentials.pin, directory, operations)
    finally:
        await server.close()
        database.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, NODE, OTHER) as found:
        yield found


def installed(machine: CompiledMachine, hardware: Hardware | None = None) -> Report:
    """Return what the machine's installed agent reports, on other hardware where one is given."""
    report = a_report(machine, a_disk("now"), installed=an_installed_system(machine, "op"))
    return evolve(report, hardware=hardware or report.hardware)


async def test_an_agent_reports_its_own_hardware(server: Server) -> None:
    await server.report(await server.enrolled(NODE), installed(NODE))
    heard = server.observed().machines[NODE.name].installed
    assert heard is not None
    assert heard.report == installed(NODE)


@pytest.mark.parametrize("environment", ["installed", "deploy-os"])
async def test_a_report_of_another_machines_hardware_is_refused_and_nothing_is_stored(
    server: Server, environment: str
) -> None:
    credentials = await server.enrolled(NODE, environment)
    before = server.observed()
    foreign = evolve(installed(OTHER), environment=environment, hardware=a_report(OTHER).hardware)
    with capture_logs() as logs, pytest.raises(TerminalError) as refused:
        await server.report(credentials, foreign)
    cause = (
        "the certificate is for node-01, the report is of other hardware: "
        f"uuid:{OTHER.uuid} is node-02's"
    )
    assert cause in str(refused.value)
    assert refused.value.action == (
        "If this hardware is node-01 now, say so in its document (what it was goes into "
        "spec.hardware.formerly); else find out how that certificate came to it"
    )
    said = [line for line in logs if line["event"] == "report refused"]
    assert [(line["code"], line["machine"], line["cause"]) for line in said] == [
        ("RW537", NODE.name, cause)
    ]
    for machine in (NODE, OTHER):
        assert server.observed().machines[machine.name] == before.machines[machine.name]


async def test_a_renamed_machine_goes_on_reporting_with_its_earlier_certificate(
    server: Server,
) -> None:
    credentials = await server.enrolled(NODE)
    server.use(replace(NODE, name="database-1"), OTHER)
    await server.report(credentials, installed(NODE))
    assert server.observed().machines["database-1"].installed is not None


async def test_a_replaced_board_reports_once_the_document_says_so(server: Server) -> None:
    credentials = await server.enrolled(NODE)
    uuid, mac = "99999999-0000-4000-8000-000000000001", "52:54:00:77:00:99"
    board = evolve(a_report(NODE).hardware, uuid=uuid, macs=(mac,))
    with pytest.raises(TerminalError, match=f"its UUID is not {NODE.uuid}, and its MACs"):
        await server.report(credentials, installed(NODE, board))
    was = (f"uuid:{NODE.uuid}", f"mac:{NODE.macs[0]}")
    server.use(replace(NODE, uuid=uuid, macs=(mac,), formerly=was), OTHER)
    await server.report(credentials, installed(NODE, board))
    assert server.observed().machines[NODE.name].installed is not None


async def test_a_name_that_another_machine_got_does_not_take_its_first_owners_reports(
    server: Server,
) -> None:
    """The certificate of the first is for the name alone, which the second enrolled with since."""
    first = await server.enrolled(NODE)
    renamed, heir = replace(NODE, name="node-09"), replace(OTHER, name=NODE.name)
    server.use(renamed, heir)
    server.operations[heir.name] = server.operations[OTHER.name]
    server.directory /= "second"
    await server.enrolled(heir)
    with pytest.raises(TerminalError, match="the certificate is for node-01, the report is of"):
        await server.report(first, installed(NODE))
    assert server.observed().machines[heir.name].installed is None
