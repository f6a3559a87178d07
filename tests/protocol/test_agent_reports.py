"""Reports over the server's own API: real certificates, real TLS, the agent's own client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import evolve
from builders.agent_services import agent_services
from builders.outside import FakeOutside
from builders.world import (
    a_disk,
    a_fleet,
    a_machine,
    a_report,
    an_image,
    an_installed_system,
)
from structlog.testing import capture_logs

from agent.clock import Clock
from agent.credentials import Credentials, CredentialStore
from agent.enroll import Invitation, enroll
from agent.errors import EndedError, FencedError, TerminalError, TransientError
from agent.imaging.packed_text import pack
from agent.retry import RetryPolicy
from agent.transport import PinnedServer, Transport
from agent.wire.evidence import MOST_PACKED, MOST_TEXT
from agent.wire.report import Hardware, Report
from agent.wire.work import OperationEvent, Work
from agent.work_channel import WorkChannel
from reconciler.loop.approval import approve
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import plan
from reconciler.server.agent_routes import agent_routes
from reconciler.server.control_plane import AgentEndpoint, ControlPlane
from reconciler.state.database import Database, open_database
from reconciler.state.grants import Token
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import Observed
from reconciler.state.operation_states import OperationState
from reconciler.state.run_evidence import RunEvidence
from reconciler.state.runs import Runs
from reconciler.state.world import observe
from reconciler.trust.authority import Authority
from reconciler.trust.tls import server_context
from reconciler.trust.token import new_token, token_digest
from specs.fleet import CompiledMachine

pytestmark = pytest.mark.timeout(60)

_S = OperationState
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

    async def report(self, credentials: Credentials, report: Report) -> str:
        transport = Transport(self.url, PinnedServer(self.pin), credentials)
        try:
            return (await asyncio.to_thread(WorkChannel(transport).report, report)).finished
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
    reconciler = Reconciler(database, fleet, FleetHardware(machines), FakeOutside(an_image()), now)
    plane = ControlPlane(database, reconciler, endpoint, now)
    for machine in machines:
        plane.machines.record_report(machine, a_report(machine, a_disk("first")), now())
    seen = observe(database, machines, {"debian12": an_image()}, now())
    made = plan(fleet, seen, now())
    approve(plane.ledger, made, made.to_apply, "ada", now())
    application = web.Application()
    services = agent_services(directory, database, plane, authority, now)
    application.add_routes(agent_routes(services))
    server = TestServer(application, host=ADDRESS)
    await server.start_server(ssl=server_context(credentials, authority.trusted_pem))
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
    report = a_report(machine, a_disk("now"), installed=an_installed_system(machine, ""))
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


async def test_an_agent_that_is_heard_after_all_goes_on_with_its_work(server: Server) -> None:
    operation, plane = server.operations[NODE.name], server.plane
    plane.reconciler.follow_ledger()
    while plane.reconciler.step():
        pass
    credentials = await server.enrolled(NODE, "deploy-os")
    transport = Transport(server.url, PinnedServer(server.pin), credentials)
    channel = WorkChannel(transport)

    async def says(kind: str, sequence: int) -> None:
        event = OperationEvent(1, sequence, kind, 1)
        await asyncio.to_thread(channel.event, operation, event)

    def stands() -> str:
        (status,) = plane.ledger.operations(op_id=operation)
        return str(status.state)

    await asyncio.to_thread(channel.claim, Work(operation, 1, ()))
    await says("step-started", 1)
    plane.ledger.move(
        operation,
        OperationState.STARTED,
        OperationState.INDETERMINATE,
        attempt=1,
        at=now(),
        actor="server",
        reason="RW613: nothing was heard",
    )
    with pytest.raises(TransientError, match="RW632"):
        await asyncio.to_thread(
            transport.send, "PUT", f"/v1/operations/{operation}/manifest", b"", quick_retries=False
        )
    assert stands() == "indeterminate"
    await says("progress", 2)
    await says("progress", 2)
    assert stands() == "started"
    await says("failed", 3)
    assert stands() == "failed"
    await says("failed", 3)
    with pytest.raises(EndedError):
        await says("progress", 4)
    transport.close()


async def test_the_report_that_verifies_an_operation_is_answered_with_when_that_was(
    server: Server,
) -> None:
    op_id = server.operations[NODE.name]
    credentials = await server.enrolled(NODE)
    report = evolve(installed(NODE), installed=an_installed_system(NODE, op_id))
    ledger = server.plane.ledger
    for before, after in pairwise(("approved", "armed", "started")):
        ledger.move(
            op_id,
            OperationState(before),
            OperationState(after),
            attempt=1,
            at=now(),
            actor="test",
            reason="",
        )
    server.use(NODE, OTHER)
    assert await server.report(credentials, report) == ""  # its steps are not done yet
    ledger.record_progress(op_id, OperationEvent(attempt=1, sequence=1, kind="done", step=2), now())
    said = await server.report(credentials, report)
    (status,) = ledger.operations(op_id=op_id)
    assert status.state is OperationState.VERIFIED
    assert said == status.at.isoformat()


async def test_a_system_that_the_ledger_does_not_know_blocks_its_machine(server: Server) -> None:
    credentials = await server.enrolled(NODE)
    report = evolve(installed(NODE), installed=an_installed_system(NODE, "f" * 32))
    assert await server.report(credentials, report) == ""
    assert server.observed().machines[NODE.name].quarantine.startswith("RW748: ")
    assert not server.observed().machines[OTHER.name].quarantine


# --- evidence, and the end that others decide ------------------------------------------


async def ask(
    server: Server, credentials: Credentials, call: Callable[[WorkChannel], None]
) -> None:
    transport = Transport(server.url, PinnedServer(server.pin), credentials)
    try:
        await asyncio.to_thread(call, WorkChannel(transport))
    finally:
        transport.close()


def begun(server: Server, machine: CompiledMachine) -> str:
    """Let the machine's operation stand where its agent has claimed it."""
    op_id = server.operations[machine.name]
    for before, after in ((_S.APPROVED, _S.ARMED), (_S.ARMED, _S.STARTED)):
        server.plane.ledger.move(
            op_id, before, after, attempt=1, at=now(), actor=machine.name, reason=""
        )
    server.plane.reconciler.follow_ledger()
    return op_id


def evidence_of(server: Server, op_id: str) -> list[str]:
    kept = RunEvidence(server.database, server.directory / "runs")
    (run,) = Runs(server.database).newest(9, ["apply"])
    return [file.name for file in kept.of_run(run.run.run_id).get(op_id, ())]


async def test_a_machine_sends_evidence_of_its_own_operation_only(server: Server) -> None:
    mine, foreign = begun(server, NODE), begun(server, OTHER)
    credentials = await server.enrolled(NODE, "deploy-os")
    await ask(server, credentials, lambda to: to.evidence(mine, 1, "agent", pack(b"a log\n")))
    assert evidence_of(server, mine) == ["agent"]
    for op_id, attempt in ((foreign, 1), ("0" * 32, 1), (mine, 2)):
        with pytest.raises(TerminalError, match="RW578 what the machine sent of a run is not"):
            await ask(
                server,
                credentials,
                lambda to, at=(op_id, attempt): to.evidence(*at, "agent", pack(b"a log\n")),
            )
    assert evidence_of(server, foreign) == []
    assert len(list((server.directory / "runs").rglob("*.zst"))) == 1


async def test_an_installed_system_sends_no_evidence(server: Server) -> None:
    mine = begun(server, NODE)
    credentials = await server.enrolled(NODE, "installed")
    with pytest.raises(TerminalError, match="RW531"):
        await ask(server, credentials, lambda to: to.evidence(mine, 1, "agent", pack(b"x")))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\0" * (MOST_PACKED + 1), "RW535 more than 655360 bytes"),
        (pack(b"\0" * (MOST_TEXT + 1)), "RW530 its size is not said, or larger than allowed"),
        (b"no zstandard", "RW530 it is not compressed as it should be"),
    ],
)
async def test_evidence_that_is_too_large_or_none_is_refused(
    server: Server, body: bytes, why: str
) -> None:
    mine = begun(server, NODE)
    credentials = await server.enrolled(NODE, "deploy-os")
    with pytest.raises(TerminalError, match=why):
        await ask(server, credentials, lambda to: to.evidence(mine, 1, "agent", body))
    assert evidence_of(server, mine) == []


PROGRESS = OperationEvent(1, 5, "progress", 1)
FAILED = OperationEvent(1, 6, "failed", 1, code="RW421", message="bad", action="Replace it")


@pytest.mark.parametrize("state", ["CANCELLED", "FAILED", "INDETERMINATE"])
async def test_an_agent_at_work_on_what_has_ended_is_told_so(server: Server, state: str) -> None:
    mine = begun(server, NODE)
    credentials = await server.enrolled(NODE, "deploy-os")
    await ask(server, credentials, lambda to: to.event(mine, PROGRESS))
    server.plane.ledger.move(
        mine, _S.STARTED, _S[state], attempt=1, at=now(), actor="ada", reason="wrong image"
    )
    server.plane.reconciler.follow_ledger()
    said = f"RW577: the server ended this operation: RW579 the operation has ended as {_S[state]}"
    with pytest.raises(EndedError, match=f"{said}: wrong image"):
        await ask(server, credentials, lambda to: to.event(mine, evolve(PROGRESS, sequence=7)))
    if state == "FAILED":  # what the agent has to say of it is nothing new
        await ask(server, credentials, lambda to: to.event(mine, FAILED))
    else:
        with pytest.raises(EndedError):
            await ask(server, credentials, lambda to: to.event(mine, FAILED))


async def test_an_attempt_that_another_took_over_is_no_end(server: Server) -> None:
    mine = begun(server, NODE)
    server.plane.ledger.move(
        mine, _S.STARTED, _S.ARMED, attempt=2, at=now(), actor="server", reason="it restarted"
    )
    server.plane.reconciler.follow_ledger()
    credentials = await server.enrolled(NODE, "deploy-os")
    with pytest.raises(FencedError, match="RW554"):
        await ask(server, credentials, lambda to: to.event(mine, PROGRESS))
