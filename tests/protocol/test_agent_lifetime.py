"""Installed agents for years: the server's own routes, the agent's own client, real TLS.

Time is virtual. A handshake looks at the computer's clock, so that the machines' side is told not
to look; the server's side never does, and judges certificates by the clock that it was given.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import groupby
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import pytest
from aiohttp import web
from attrs import evolve
from builders.agent_services import agent_services
from builders.outside import FakeOutside
from builders.world import a_disk, a_fleet, a_machine, a_report, an_image, an_installed_system
from structlog.testing import capture_logs

from agent import transport as agent_transport
from agent.clock import Clock
from agent.config import AgentConfig, save_config
from agent.credentials import CredentialStore
from agent.enroll import Invitation, enroll
from agent.errors import CodedError, RefusedError, TerminalError, TransientError
from agent.exchange import ExchangeFile
from agent.membership import InstalledMembership
from agent.readmission import Readmission
from agent.renewal import Renewal
from agent.retry import RetryPolicy
from agent.service import RunningSystem, run_service
from agent.transport import KnownAuthority, Transport
from agent.whole_file import write_atomically
from agent.wire.report import Hardware, InstalledSystem, Report
from agent.work_channel import WorkChannel
from reconciler.app.agents import (
    Word,
    accept_return,
    agents,
    authority_keys,
    retire_authority,
    revoke,
    roll_authority,
)
from reconciler.errors import ReconcilerError
from reconciler.loop.approval import approve
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import plan
from reconciler.server.agent_routes import agent_routes
from reconciler.server.connection_limits import ConnectionLimits, Limits
from reconciler.server.control_plane import AgentEndpoint, ControlPlane
from reconciler.server.tls_identity import TlsIdentity
from reconciler.state.database import open_database
from reconciler.state.grants import Token
from reconciler.state.hardware import FleetHardware
from reconciler.state.world import observe
from reconciler.trust.authority import Authority
from reconciler.trust.token import new_token, token_digest

pytestmark = pytest.mark.timeout(120)

ADDRESS = "127.0.0.1"
NODE, OTHER = a_machine(1, "clone-golden"), a_machine(2, "clone-golden")
DAY = timedelta(days=1)
BRIEF = RetryPolicy(first=0.01, cap=0.01, limit=0.05)
NO_CHECK_TIME = ssl.VerifyFlags(0x200000)


@pytest.fixture(autouse=True)
def machines_without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    made = agent_transport._context

    def context(*arguments: object) -> ssl.SSLContext:
        found = made(*arguments)  # type: ignore[arg-type]
        found.verify_flags |= NO_CHECK_TIME
        return found

    monkeypatch.setattr(agent_transport, "_context", context)


class Site:
    """A server of two machines, and the time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = datetime.now(UTC)
        self.agents: list[Agent] = []

    def passes(self, time: timedelta) -> None:
        self.now += time

    def clock(self) -> datetime:
        return self.now

    @asynccontextmanager
    async def serving(self, **settings: int) -> AsyncIterator["Site"]:
        self.database = open_database(self.directory / "rackwright.db")
        self.authority = Authority.load_or_create(self.directory / "trust", self.now)
        self.tls = TlsIdentity(self.authority, IPv4Address(ADDRESS), self.clock)
        endpoint = AgentEndpoint(f"https://{ADDRESS}", self.tls.pin)
        fleet = a_fleet(NODE, OTHER)
        fleet = replace(fleet, settings=fleet.settings._replace(**settings))
        self.loop = Reconciler(
            self.database, fleet, FleetHardware((NODE, OTHER)), FakeOutside(an_image()), self.clock
        )
        self.plane = ControlPlane(self.database, self.loop, endpoint, self.clock)
        self._approve(fleet)
        services = agent_services(
            self.directory, self.database, self.plane, self.authority, self.clock
        )
        application = web.Application()
        application.add_routes(agent_routes(services))
        self.routes = [
            (route.method, route.resource.canonical)
            for route in application.router.routes()
            if route.resource is not None
        ]
        limits = ConnectionLimits(Limits(connections=50, per_source=50), clock=lambda: 0.0)
        runner = web.AppRunner(application, **limits.runner_options())
        await runner.setup()
        listening = limits.listen(ADDRESS, 0)
        accept = limits.accept(listening, runner, self.tls.context)
        accepting = asyncio.create_task(accept)
        self.url = f"https://{ADDRESS}:{listening.getsockname()[1]}"
        try:
            yield self
        finally:
            for agent in self.agents:
                agent.transport.close()
            accepting.cancel()
            await asyncio.wait([accepting])
            listening.close()
            await runner.cleanup()
            while limits.connections:  # noqa: ASYNC110 - TLS says farewell in the next rounds
                await asyncio.sleep(0.01)
            self.database.close()

    def _approve(self, fleet: object) -> None:
        for machine in (NODE, OTHER):
            self.plane.machines.record_report(machine, a_report(machine, a_disk("x")), self.now)
        seen = observe(self.database, (NODE, OTHER), {"debian12": an_image()}, self.now)
        made = plan(fleet, seen, self.now)
        approve(self.plane.ledger, made, made.to_apply, "ada", self.now)
        self.operations = {
            status.operation.machine: status.operation.op_id
            for status in self.plane.ledger.operations()
        }

    def token(self, machine: str) -> str:
        token = new_token()
        operation, until = self.operations[machine], self.now + timedelta(hours=1)
        kept = Token(token_digest(token), operation, 1, machine, "installed", until)
        self.plane.grants.store_token(kept)
        return token

    async def agent(self, machine=NODE, folder: str = "agent") -> "Agent":
        invitation = Invitation(self.url, self.tls.pin, self.token(machine.name), "installed")
        store = CredentialStore(self.directory / folder)
        hardware = a_report(machine).hardware
        await asyncio.to_thread(enroll, invitation, store, hardware, BRIEF, QUICK)
        return Agent(self, machine, store)

    @property
    def project(self) -> SimpleNamespace:
        return SimpleNamespace(database=self.database, state=self.directory)

    def says(self, reason: str) -> Word:
        return Word("ada@desk", reason, self.now)


QUICK = Clock(pause=lambda _seconds: None, chance=lambda: 0.0)


def code_in(error: CodedError) -> str:
    """Return the server's own code of a refusal."""
    found = re.search(r"status 40[13]: (RW\d{3}) ", error.cause)
    return found[1] if found else ""


class Agent:
    """An installed agent, as its service puts it together; each step is asked for."""

    def __init__(self, site: Site, machine, store: CredentialStore) -> None:
        self.site, self.machine, self.store = site, machine, store
        self.boot = "boot-1"
        self.hardware = a_report(machine).hardware
        self.starts()

    def starts(self) -> None:
        """Begin as a process does: from what is on the disk."""
        credentials = self.store.load()
        assert credentials is not None
        clock = Clock(
            monotonic=lambda: self.site.clock().timestamp(),
            pause=lambda _seconds: None,
            chance=lambda: 0.0,
        )
        if self in self.site.agents:
            self.transport.close()
        else:
            self.site.agents.append(self)
        self.transport = Transport(
            self.site.url, KnownAuthority(credentials.authority), credentials
        )
        self.renewal = Renewal(self.transport, self.store, credentials, clock)
        readmission = Readmission(
            self.transport, self.store, self.renewal, lambda: self.hardware, clock
        )
        kept = ExchangeFile(self.store.directory / "exchange")
        self.membership = InstalledMembership(kept, self.renewal, readmission)

    def report(self) -> None:
        report = a_report(
            self.machine, a_disk("now"), installed=an_installed_system(self.machine, "")
        )
        report = evolve(report, boot_id=self.boot, hardware=self.hardware)
        answer = WorkChannel(self.transport).report(report, self.membership.exchange)
        self.membership.answered(answer)

    async def turn(self) -> str:
        """Report and see to the certificate, as a session does; return what it was refused for."""
        try:
            await asyncio.to_thread(self.report)
            await asyncio.to_thread(self.renewal.turn)
        except RefusedError as error:
            back = await asyncio.to_thread(self.membership.refused, error)
            return "" if back else code_in(error)
        return ""

    @property
    def serial(self) -> str:
        return self.site.plane.certificates.of_machine(self.machine.name)[0].serial


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(tmp_path).serving() as found:
        yield found


# --- renewal --------------------------------------------------------------------------


async def test_an_agent_that_is_on_for_a_year_never_has_an_expired_certificate(site: Site) -> None:
    agent = await site.agent()
    keys = set()
    for _ in range(183):
        site.passes(2 * DAY)
        assert await agent.turn() == ""
        site.tls.look(is_quiet=True)
        newest = site.plane.certificates.of_machine(NODE.name)[0]
        assert site.now < newest.expires - 7 * DAY
        keys.add(newest.key)
    assert 365 // 22 <= len(keys) <= 365 // 20 + 1  # two thirds of 30 days, another key each time
    assert sorted(path.name for path in agent.store.directory.iterdir()) == [
        "agent.pem",
        "authority.crt",
        "enrollment.json",
        "exchange",
    ]


async def test_after_forty_days_an_agent_that_was_started_again_uses_the_renewed_pair(
    site: Site,
) -> None:
    agent = await site.agent()
    for _ in range(40):
        site.passes(DAY)
        assert await agent.turn() == ""
    agent.starts()
    assert await agent.turn() == ""


async def test_nothing_is_renewed_before_two_thirds_of_the_certificates_life(site: Site) -> None:
    agent = await site.agent()
    first = agent.serial
    site.passes(20 * DAY - timedelta(minutes=10))
    await agent.turn()
    assert agent.serial == first
    site.passes(2 * DAY)
    await agent.turn()
    assert agent.serial != first


@pytest.mark.parametrize("stop", range(8))
async def test_an_agent_that_is_killed_while_it_renews_has_a_pair_that_works(
    site: Site, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    agent = await site.agent()
    site.passes(23 * DAY)
    await asyncio.to_thread(agent.report)
    written = []

    def write(path: Path, content: bytes, mode: int) -> None:
        if len(written) == stop:
            raise KeyboardInterrupt
        written.append(path.name)
        write_atomically(path, content, mode)

    monkeypatch.setattr("agent.credentials.write_atomically", write)
    killed = False
    try:
        await asyncio.to_thread(_quietly, agent.renewal.turn)
    except Killed:
        killed = True
    assert killed == (stop < 6), written
    monkeypatch.undo()
    machines_clockless(monkeypatch)
    agent.starts()
    assert await agent.turn() == ""
    site.passes(DAY)
    assert await agent.turn() == ""
    site.passes(23 * DAY)
    assert await agent.turn() == ""
    assert len({each.key for each in site.plane.certificates.of_machine(NODE.name)}) >= 3


class Killed(Exception):  # noqa: N818 - what happens to the process
    """The process ends here."""


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except KeyboardInterrupt:
        raise Killed from None


def machines_clockless(monkeypatch: pytest.MonkeyPatch) -> None:
    machines_without_a_clock.__wrapped__(monkeypatch)


async def test_a_pair_that_does_not_work_is_dropped_and_the_old_one_stays(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await site.agent()
    site.passes(23 * DAY)
    await asyncio.to_thread(agent.report)

    def refuse(_self: object, _staged: object) -> None:
        agent.store.discard_next()
        raise TerminalError("RW561", "the pair does not work", "See the log")

    with monkeypatch.context() as patched:
        patched.setattr(Renewal, "_try_out", refuse)
        with pytest.raises(TerminalError, match="RW561"):
            await asyncio.to_thread(agent.renewal.turn)
        before = agent.serial
        await asyncio.to_thread(agent.renewal.turn)  # not again at once
        assert agent.serial == before
    site.passes(timedelta(hours=1))
    assert await agent.turn() == ""
    assert agent.renewal.credentials.key.name == "agent.pem"


async def test_a_lost_answer_to_the_renewal_costs_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await site.agent()
    site.passes(23 * DAY)
    await asyncio.to_thread(agent.report)
    send = Transport.send

    def lose(self: Transport, method: str, path: str, *rest: object, **others: object) -> bytes:
        answer = send(self, method, path, *rest, **others)  # type: ignore[arg-type]
        if path == "/v1/renew":
            raise TransientError("RW557", "the answer got lost", "Wait")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(Transport, "send", lose)
        with pytest.raises(TransientError):
            await asyncio.to_thread(agent.renewal.turn)
    site.passes(timedelta(hours=2))
    assert await agent.turn() == ""
    assert agent.renewal.credentials.key.name == "agent.pem"


class FakeMachine:
    """The machine of an agent's service: says what a report says, and has no disks."""

    operation = None

    def __init__(self, *_: object, **__: object) -> None:
        self.problems: tuple[str, ...] = ()

    def hardware(self) -> Hardware:
        return a_report(NODE).hardware

    def system(self, problems: list[str]) -> InstalledSystem:
        problems.clear()
        return an_installed_system(NODE, "")

    def report(self, problems: tuple[str, ...]) -> Report:
        self.problems = problems
        return a_report(NODE, a_disk("now"), installed=an_installed_system(NODE, ""))


class Over(Exception):  # noqa: N818 - not an error
    """The service ran for long enough."""


async def test_the_service_renews_goes_on_without_a_restart_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.service.LocalMachine", FakeMachine)
    monkeypatch.setattr("agent.session.POLL_WAIT_SECONDS", 0)
    async with Site(tmp_path).serving(agent_return_seconds=400 * 86_400) as site:
        config = tmp_path / "agent.json"
        token = site.token(NODE.name)
        save_config(config, AgentConfig(site.url, site.tls.pin, token, "", ""))
        origins = []

        def pause(_seconds: float) -> None:
            """Let much time pass where the service waits for a little."""
            origins.append(site.plane.certificates.of_machine(NODE.name)[0].origin)
            if len(origins) == 90:
                raise Over
            site.passes(60 * DAY if len(origins) == 60 else DAY)

        clock = Clock(lambda: site.clock().timestamp(), pause, lambda: 0.0)
        with pytest.raises(Over):
            await asyncio.to_thread(
                run_service, config, tmp_path / "state", RunningSystem(clock=clock)
            )
    assert [name for name, _ in groupby(origins)] == ["enrollment", "renewal", "return", "renewal"]


# --- revocation -----------------------------------------------------------------------


async def test_a_revoked_agent_is_refused_at_its_next_request_on_an_open_connection(
    site: Site,
) -> None:
    agent = await site.agent()
    assert await agent.turn() == ""
    revoke(site.project, NODE.name, site.says("stolen"))
    with capture_logs() as logs:
        assert await agent.turn() == "RW520"
        assert await agent.turn() == "RW520"
    said = [line for line in logs if line["event"] == "agent refused"]
    assert [(line["code"], line["machine"], line["cause"]) for line in said] == [
        ("RW520", NODE.name, "the certificates of node-01 were revoked by ada@desk: stolen")
    ]
    agent.starts()
    site.passes(60 * DAY)  # expired as well, and still no way back
    assert await agent.turn() in {"RW509", "RW520"}
    assert site.plane.certificates.returns() == ()


async def test_a_revoked_agent_is_an_agent_again_by_a_new_token(site: Site) -> None:
    await site.agent()
    revoke(site.project, NODE.name, site.says("stolen"))
    site.passes(timedelta(seconds=1))
    again = await site.agent(folder="anew")
    assert await again.turn() == ""
    assert [(each.name, each.state) for each in agents(site.project, site.now)] == [
        (NODE.name, "valid")
    ]


async def test_a_certificate_that_no_record_has_is_kept_when_it_is_seen_and_can_be_revoked(
    site: Site,
) -> None:
    agent = await site.agent()
    _forget_certificates(site)
    assert await agent.turn() == ""
    assert site.plane.certificates.of_machine(NODE.name)[0].origin == "seen"
    _forget_certificates(site)
    site.passes(DAY)
    revoke(site.project, NODE.name, site.says("sold"))  # its token is known
    assert await agent.turn() == "RW520"


def _forget_certificates(site: Site) -> None:
    with site.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM agent_certificate")


async def test_an_agent_of_another_authority_is_refused_and_logged_once(
    site: Site, tmp_path: Path
) -> None:
    agent = await site.agent()
    foreign = Authority.load_or_create(tmp_path / "foreign", site.now)
    certificate = agent.store.directory / "agent.crt"
    key = agent.store.signing_request()
    certificate.write_text(foreign.sign_agent(key, NODE.name, "installed", site.now, 7))
    agent.starts()
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(TransientError):  # a TLS alert, or a reset connection
                await agent.turn()
    said = [line["cause"] for line in logs if line["event"] == "agent refused"]
    assert said == ["its certificate is not valid: unable to get local issuer certificate"]


async def test_nobody_is_revoked_whom_nobody_knows(site: Site) -> None:
    with pytest.raises(ReconcilerError, match="RW984: no agent of node-99 ever had a certificate"):
        revoke(site.project, "node-99", site.says("gone"))


async def test_every_route_but_enrollment_and_return_refuses_a_revoked_agent(site: Site) -> None:
    agent = await site.agent()
    revoke(site.project, NODE.name, site.says("stolen"))
    tried = 0
    for method, path in site.routes:
        if method not in {"GET", "POST", "PUT"} or path in {"/v1/enroll", "/v1/return"}:
            continue
        target = path.replace("{operation}", "a" * 32).replace("{digest}", "b" * 64)
        target = target.replace("{sha256}", "c" * 64)
        target = target.replace("{attempt}", "1").replace("{name}", "log")
        with pytest.raises(CodedError) as caught:
            await asyncio.to_thread(agent.transport.send, method, target, b"{}")
        assert code_in(caught.value) == "RW520", (method, path)
        tried += 1
    assert tried >= 9


# --- coming back ----------------------------------------------------------------------


async def test_an_agent_that_was_away_for_a_year_waits_until_a_person_accepts_it(
    site: Site,
) -> None:
    agent = await site.agent()
    assert await agent.turn() == ""
    site.passes(365 * DAY)
    site.tls.look(is_quiet=True)
    assert await agent.turn() == "RW509"
    (listed,) = agents(site.project, site.now)
    assert (listed.name, listed.state) == (NODE.name, "waits")
    assert listed.detail.endswith(
        "from 127.0.0.1: the fleet has no rule for agents that were away (spec.agents.returnWithin)"
    )
    assert await agent.turn() == "RW509"  # and does not ask again at once
    accept_return(site.project, NODE.name, site.says("was in store"))
    site.passes(timedelta(minutes=1))
    assert await agent.turn() == ""  # let in: the next report is taken
    assert await agent.turn() == ""
    assert [each.state for each in agents(site.project, site.now)] == ["valid"]
    assert site.plane.certificates.returns() == ()


@pytest.mark.parametrize(("away", "comes_back"), [(399, True), (432, False)])
async def test_a_rule_of_the_fleet_lets_an_agent_come_back_by_itself(
    tmp_path: Path, away: int, *, comes_back: bool
) -> None:
    async with Site(tmp_path).serving(agent_return_seconds=400 * 86_400) as site:
        agent = await site.agent()
        assert await agent.turn() == ""
        site.passes(away * DAY)
        site.tls.look(is_quiet=True)
        assert await agent.turn() == ("" if comes_back else "RW509")
        if comes_back:
            assert await agent.turn() == ""
        else:
            why = site.plane.certificates.returns()[0].why
            assert why == "its certificate expired 402 days ago, the rule allows 400"


async def test_no_rule_lets_in_what_may_be_an_older_copy_other_hardware_or_quarantined(
    tmp_path: Path,
) -> None:
    async with Site(tmp_path).serving(agent_return_seconds=400 * 86_400) as site:
        agent = await site.agent()
        assert await agent.turn() == ""
        copytree(agent.store.directory, tmp_path / "copy")
        site.passes(23 * DAY)
        assert await agent.turn() == ""  # renewed, the copy is not
        assert await agent.turn() == ""
        site.passes(20 * DAY)
        copy = Agent(site, NODE, CredentialStore(tmp_path / "copy"))
        assert await copy.turn() == "RW509"
        assert site.plane.certificates.returns()[0].why.startswith(
            "a newer certificate of this name was in use on "
        )
        other = await site.agent(OTHER, "other")
        assert await other.turn() == ""
        site.passes(60 * DAY)
        other.hardware = evolve(other.hardware, macs=NODE.macs, uuid=NODE.uuid)
        assert await other.turn() == "RW509"
        found = {each.machine: each.why for each in site.plane.certificates.returns()}
        assert found[OTHER.name].startswith("it is on other hardware: ")
        other.hardware = a_report(OTHER).hardware
        site.plane.machines.set_quarantine(OTHER.name, OTHER.hardware_identities, "alarm", site.now)
        site.passes(timedelta(hours=1))
        assert await other.turn() == "RW509"
        found = {each.machine: each.why for each in site.plane.certificates.returns()}
        assert found[OTHER.name] == "its machine is quarantined"


async def test_only_the_certificates_own_key_can_ask_and_only_of_this_authority(
    site: Site, tmp_path: Path
) -> None:
    agent = await site.agent()
    other = await site.agent(OTHER, "other")
    foreign = Authority.load_or_create(tmp_path / "foreign", site.now)
    site.passes(60 * DAY)
    stolen = agent.store.directory / "agent.crt"  # a certificate is no secret, its key is
    (other.store.directory / "agent.crt").write_bytes(stolen.read_bytes())
    question = other.membership.readmission
    with pytest.raises(RefusedError) as caught:
        await asyncio.to_thread(question._come_back)
    assert code_in(caught.value) == "RW522"
    assert "its request is signed by another key than its certificate's" in caught.value.cause
    csr = other.store.next_request()
    pem = foreign.sign_agent(csr, OTHER.name, "installed", site.now - 40 * DAY, 7)
    (other.store.directory / "agent.crt").write_text(pem)
    with pytest.raises(RefusedError, match="its certificate is by another authority"):
        await asyncio.to_thread(question._come_back)
    assert site.plane.certificates.returns() == ()


async def test_two_that_ask_to_come_back_as_one_are_told_apart_by_their_serials(
    tmp_path: Path,
) -> None:
    async with Site(tmp_path).serving() as site:
        first = await site.agent()
        second = await site.agent(folder="second")
        site.passes(60 * DAY)
        assert await first.turn() == await second.turn() == "RW509"
        with pytest.raises(ReconcilerError, match="RW985: 2 agents ask to come back as node-01"):
            accept_return(site.project, NODE.name, site.says("which?"))
        serial = site.plane.certificates.returns()[0].serial
        accept_return(site.project, NODE.name, site.says("this one"), serial[:12])
        with pytest.raises(ReconcilerError, match="RW984: no agent of node-01 with the serial"):
            accept_return(site.project, NODE.name, site.says("none"), "ffffffffff")


# --- the authority's key --------------------------------------------------------------


async def test_agents_follow_a_rollover_within_a_day_and_the_earlier_key_can_be_retired(
    site: Site,
) -> None:
    agent = await site.agent()
    assert await agent.turn() == ""
    pin = site.tls.pin
    site.passes(DAY)
    roll_authority(site.project, site.says("nine years old"))
    assert not site.tls.look(is_quiet=True)  # the pin stays: machines in the Deploy-OS know it
    assert await agent.turn() == ""
    with pytest.raises(ReconcilerError, match=r"RW985: 1 agent\(s\) still have a certificate"):
        retire_authority(site.project, site.says("now"), although_used=False)
    site.passes(DAY)
    assert await agent.turn() == ""
    assert [(each.is_present, each.agents) for each in authority_keys(site.project, site.now)] == [
        (True, 1),
        (False, 0),
    ]
    newcomer = await site.agent(OTHER, "newcomer")
    retire_authority(site.project, site.says("all have followed"), although_used=False)
    assert not site.tls.look(is_quiet=False)  # work is under way
    assert await agent.turn() == ""
    assert site.tls.look(is_quiet=True)
    assert site.tls.pin != pin
    for each in (agent, newcomer):
        each.starts()
        assert await each.turn() == ""


async def test_an_agent_that_was_away_for_two_rollovers_trusts_the_server_and_comes_back(
    tmp_path: Path,
) -> None:
    async with Site(tmp_path).serving(agent_return_seconds=400 * 86_400) as site:
        agent = await site.agent()
        assert await agent.turn() == ""
        for _ in range(2):
            site.passes(2 * DAY)
            roll_authority(site.project, site.says("drill"))
            retire_authority(site.project, site.says("drill"), although_used=True)
        assert site.tls.look(is_quiet=True)
        agent.starts()
        assert await agent.turn() == ""  # RW521 first, then let in by the rule
        assert await agent.turn() == ""
        assert agent.store.load() is not None
        assert site.plane.certificates.of_machine(NODE.name)[0].origin in {"return", "renewal"}


async def test_an_impostor_is_not_trusted_after_a_rollover_either(
    site: Site, tmp_path: Path
) -> None:
    agent = await site.agent()
    async with Site(tmp_path / "impostor").serving() as impostor:
        roll_authority(impostor.project, impostor.says("drill"))
        impostor.tls.look(is_quiet=True)
        agent.site.url = impostor.url
        agent.starts()
        with pytest.raises(TerminalError) as caught:
            await agent.turn()
        assert caught.value.code == "RW552"


# --- copies ---------------------------------------------------------------------------


def quarantine_of(site: Site) -> str:
    return site.plane.machines.quarantine(NODE.name, NODE.hardware_identities)


def suspicion_of(site: Site) -> str:
    seen = observe(site.database, (NODE, OTHER), {}, site.now)
    return next((f.code for f in seen.faults if f.subject == f"agent/{NODE.name}"), "")


async def test_a_copied_agent_on_the_same_virtual_hardware_is_noticed_and_quarantined(
    site: Site, tmp_path: Path
) -> None:
    agent = await site.agent()
    await agent.turn()
    await agent.turn()
    copytree(agent.store.directory, tmp_path / "copy")
    copy = Agent(site, NODE, CredentialStore(tmp_path / "copy"))
    copy.boot = "boot-2"
    for _ in range(4):
        site.passes(timedelta(minutes=1))
        await agent.turn()
        await copy.turn()
    reason = quarantine_of(site)
    assert reason.startswith("RW524: two machines have the agent state of node-01: boot boot-")
    assert "boot-1" in reason
    assert "boot-2" in reason


async def test_a_restored_snapshot_is_said_once_and_quarantines_nothing(
    site: Site, tmp_path: Path
) -> None:
    agent = await site.agent()
    await agent.turn()
    copytree(agent.store.directory, tmp_path / "snapshot")
    for _ in range(30):
        site.passes(timedelta(minutes=10))
        await agent.turn()
    restored = Agent(site, NODE, CredentialStore(tmp_path / "snapshot"))
    restored.boot = "boot-2"
    with capture_logs() as logs:
        await restored.turn()
        assert suspicion_of(site) == "RW525"
        for _ in range(30):
            site.passes(timedelta(minutes=10))
            await restored.turn()
    said = [line for line in logs if line["event"] == "agent's state is older than it was"]
    assert len(said) == 1
    assert suspicion_of(site) == ""
    assert quarantine_of(site) == ""


async def test_reboots_lost_answers_and_crashes_before_a_value_is_kept_are_no_copies(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await site.agent()
    for number in range(60):
        site.passes(timedelta(minutes=17))
        agent.boot = f"boot-{number // 3}"
        if number % 5 == 0:
            with monkeypatch.context() as patched:
                patched.setattr(ExchangeFile, "keep", lambda _self, _value: None)
                await agent.turn()
        else:
            await agent.turn()
    assert suspicion_of(site) == ""
    assert quarantine_of(site) == ""


async def test_two_boards_that_report_in_turn_with_one_certificate_are_quarantined(
    site: Site, tmp_path: Path
) -> None:
    agent = await site.agent()
    await agent.turn()
    copytree(agent.store.directory, tmp_path / "copy")
    copy = Agent(site, NODE, CredentialStore(tmp_path / "copy"))
    copy.hardware = a_report(OTHER).hardware
    assert await copy.turn() == "RW537"
    assert quarantine_of(site) == ""  # the board may have been replaced
    site.passes(timedelta(minutes=1))
    assert await agent.turn() == ""
    assert quarantine_of(site).startswith(
        "RW524: two machines have the agent state of node-01: its own hardware reports from "
        "127.0.0.1, and so does other hardware: "
    )


async def test_a_board_that_was_replaced_and_then_declared_is_no_copy(site: Site) -> None:
    agent = await site.agent()
    await agent.turn()
    agent.hardware = a_report(OTHER).hardware
    assert await agent.turn() == "RW537"
    site.passes(timedelta(hours=2))
    agent.hardware = a_report(NODE).hardware
    assert await agent.turn() == ""
    assert quarantine_of(site) == ""
