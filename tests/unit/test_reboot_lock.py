"""The reboot semaphore: requests and answers over TLS, budgets, windows, restarts."""

import asyncio
import json
import re
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import aiohttp
import pytest
from aiohttp import web
from attrs import evolve
from builders.loop_server import LoopServer
from builders.world import CAPTURE, HERE, NOW, a_fleet, a_machine, a_report, an_installed_system
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.main import cli
from reconciler.errors import StateError
from reconciler.loop.reboot_locks import (
    RebootLocker,
    app_specific_id,
    clients_of,
    group_of,
)
from reconciler.server.connection_limits import ConnectionLimits, Limits
from reconciler.server.fleet_lock import FleetLockApi, MalformedRequestError, parse_request
from reconciler.state.reboot_locks import RebootLocks
from reconciler.state.reported_identities import Identity, ReportedIdentities, ReportedIdentity
from reconciler.trust.authority import Authority
from reconciler.trust.tls import server_context
from specs.fleet import (
    Budget,
    CompiledHold,
    CompiledRebootLock,
    CompiledWindow,
    CompiledWindows,
)

HEADER = {"fleet-lock-protocol": "true"}
PRE, STEADY = "/v1/pre-reboot", "/v1/steady-state"


def machine_id(number):
    return f"{number:032x}"


def client(number):
    return app_specific_id(machine_id(number))


def body(number, group="default"):
    return {"client_params": {"id": client(number), "group": group}}


def a_fleet_of(*machines, at_once=1, enabled=True, plain=False, **changes):
    fleet = a_fleet(*machines, at_once=9)
    budgets = (
        Budget("fleet", "", "work", 1000),
        Budget("fleet", "", "destructive", 9, 100),
        Budget("fleet", "", "disruptive", at_once, 200),
    )
    settings = fleet.settings._replace(
        budgets=budgets, reboot_lock=CompiledRebootLock(enabled, plain)
    )
    return replace(fleet, settings=settings, **changes)


class Site:
    """The loop with the semaphore behind real TLS and HTTP."""

    def __init__(self, path, fleet):
        self.path = path
        self.steady = 0.0
        self.server = LoopServer(path / "rackwright.db", fleet)
        self.start()

    def start(self):
        server = self.server
        self.locks = RebootLocks(server.database)
        self.locker = RebootLocker(self.locks, server.loop, lambda: server.now)
        self.api = FleetLockApi(
            self.locker, ReportedIdentities(server.database), lambda: self.steady
        )

    def restart(self):
        """Forget all that is only in memory."""
        fleet, now = self.server.loop.fleet, self.server.now
        self.server.close()
        self.server = LoopServer(self.path / "rackwright.db", fleet, now=now)
        self.start()

    def reports(self, *machines, **changes):
        for machine in machines:
            number = int(machine.name.removeprefix("node-"))
            system = an_installed_system(machine, "earlier")
            system = evolve(system, machine_id=changes.get("machine_id", machine_id(number)))
            report = a_report(machine, installed=system)
            self.server.loop.machines.record_report(machine, report, self.server.now)

    def ask(self, number, group="default"):
        """Ask for the lock as a machine that is known; return the kind of the refusal, or empty."""
        found = clients_of(ReportedIdentities(self.server.database).machine_ids())
        identities = found.get(client(number), ())
        refusal = self.locker.lock(client(number), group, identities, "10.77.0.9")
        return "" if refusal is None else refusal.kind

    def is_up(self, number):
        found = clients_of(ReportedIdentities(self.server.database).machine_ids())
        self.locker.unlock(client(number), found.get(client(number), ()))

    @asynccontextmanager
    async def serving(self):
        """Serve on loopback with the server's TLS and limits; yield a client session and URL."""
        async with AsyncExitStack() as stack:
            authority = Authority.load_or_create(self.path / "trust", datetime.now(UTC))
            credentials = authority.server_credentials(IPv4Address("127.0.0.1"), datetime.now(UTC))
            limits = ConnectionLimits(Limits(50, 50))
            application = web.Application(middlewares=[limits.middleware])
            application.add_routes(self.api.routes(lambda: self.locker.is_enabled))
            runner = web.AppRunner(application)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            tls = server_context(credentials, authority.authority_pem)
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = runner.addresses[0][1]
            trusted = ssl.create_default_context(cadata=authority.authority_pem)
            connector = aiohttp.TCPConnector(ssl=trusted)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            yield session, f"https://127.0.0.1:{port}"


@pytest.fixture
def site(tmp_path):
    made = []

    def make(*machines, **changes):
        machines = machines or tuple(a_machine(number) for number in range(1, 5))
        made.append(Site(tmp_path, a_fleet_of(*machines, **changes)))
        made[-1].reports(*machines)
        return made[-1]

    yield make
    for each in made:
        each.server.close()


# --- the protocol --------------------------------------------------------------------

# What a client sends, in order, and what it is answered: status and kind. After the protocol's
# document: recursive locks, unbalanced unlocks, errors as JSON with kind and value.
CONVERSATION = [
    ("unlock without a lock", STEADY, body(1), HEADER, 200, ""),
    ("lock", PRE, body(1), HEADER, 200, ""),
    ("lock again", PRE, body(1), HEADER, 200, ""),
    ("another one", PRE, body(2), HEADER, 409, "failed_lock_semaphore_full"),
    ("another one's unlock", STEADY, body(2), HEADER, 200, ""),
    ("which changed nothing", PRE, body(2), HEADER, 409, "failed_lock_semaphore_full"),
    ("unlock", STEADY, body(1), HEADER, 200, ""),
    ("unlock again", STEADY, body(1), HEADER, 200, ""),
    ("the other one again", PRE, body(2), HEADER, 200, ""),
    ("its own group", PRE, body(2, "lab"), HEADER, 200, ""),
    ("a group of others", PRE, body(1, "workers"), HEADER, 403, "failed_unknown_group"),
    ("nobody's id", PRE, body(99), HEADER, 403, "failed_unknown_client"),
    ("nobody's unlock", STEADY, body(99), HEADER, 200, ""),
    ("no header", PRE, body(1), {}, 400, "malformed_request"),
    ("another header", PRE, body(1), {"fleet-lock-protocol": "false"}, 400, "malformed_request"),
    ("no parameters", PRE, {}, HEADER, 400, "malformed_request"),
    ("a list", PRE, [1], HEADER, 400, "malformed_request"),
    ("no group", PRE, {"client_params": {"id": "x"}}, HEADER, 400, "malformed_request"),
    (
        "an empty id",
        PRE,
        {"client_params": {"id": "", "group": "a"}},
        HEADER,
        400,
        "malformed_request",
    ),
    (
        "a long id",
        PRE,
        {"client_params": {"id": "x" * 129, "group": "a"}},
        HEADER,
        400,
        "malformed_request",
    ),
    (
        "an odd group",
        PRE,
        {"client_params": {"id": "x", "group": "a/b"}},
        HEADER,
        400,
        "malformed_request",
    ),
    (
        "a long body",
        PRE,
        {"client_params": {"id": "x" * 5000, "group": "a"}},
        HEADER,
        413,
        "malformed_request",
    ),
    ("another path", "/v1/reboot", body(1), HEADER, 404, None),
]


FULL = {
    "kind": "failed_lock_semaphore_full",
    "value": "node-02 waits for the fleet's disruptive budget (1 at once)",
}


async def test_requests_are_answered_as_the_protocol_says(site):
    one = site()
    async with one.serving() as (session, url):
        for what, path, sent, headers, status, kind in CONVERSATION:
            async with session.post(url + path, json=sent, headers=headers) as answer:
                assert (what, answer.status) == (what, status)
                if kind is None:
                    continue
                said = await answer.json()
                assert said.get("kind", "") == kind, what
                assert kind == "" or (isinstance(said["value"], str) and said["value"])
        async with session.get(url + PRE, headers=HEADER) as answer:
            assert answer.status == 405


async def test_a_client_made_of_curl_goes_through_a_restart(site, tmp_path):
    """Does what Zincati's ``fleet_lock`` strategy does, over TLS, with curl and systemd-id128."""
    one = site()
    (tmp_path / "ca.pem").write_text(
        Authority.load_or_create(tmp_path / "trust", datetime.now(UTC)).authority_pem, "ascii"
    )
    script = """\
set -eu
ask() { curl -sS --cacert ca.pem -o answer.json -w '%{http_code}' -H 'fleet-lock-protocol: true' \
  -d "{\\"client_params\\": {\\"group\\": \\"$3\\", \\"id\\": \\"$2\\"}}" "$URL/v1/$1"; }
echo "initialization $(ask steady-state $ONE default)"
echo "pre-reboot $(ask pre-reboot $ONE lab)"
echo "another $(ask pre-reboot $TWO default) $(cat answer.json)"
echo "finalization $(ask steady-state $ONE lab)"
echo "another $(ask pre-reboot $TWO default)"
"""
    async with one.serving() as (_, url):
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            script,
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "URL": url, "ONE": client(1), "TWO": client(2)},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert out.decode().splitlines() == [
        "initialization 200",
        "pre-reboot 200",
        f"another 409 {json.dumps(FULL)}",
        "finalization 200",
        "another 200",
    ]


async def test_a_fleet_that_does_not_want_it_has_no_such_address(site):
    one = site(enabled=False)
    async with (
        one.serving() as (session, url),
        session.post(url + PRE, json=body(1), headers=HEADER) as answer,
    ):
        assert (answer.status, (await answer.json())["kind"]) == (404, "failed_not_enabled")


async def test_a_database_that_cannot_be_written_is_a_refusal(site, monkeypatch):
    one = site()

    def busy():
        raise StateError("RW705", "another process holds the state database", "Wait")

    async with one.serving() as (session, url):
        async with session.post(url + STEADY, json=body(1), headers=HEADER) as answer:
            assert answer.status == 200
        monkeypatch.setattr(one.server.database, "writing", busy)
        async with session.post(url + PRE, json=body(1), headers=HEADER) as answer:
            assert answer.status == 503
            said = await answer.json()
    monkeypatch.undo()
    assert said == {"kind": "failed_state", "value": "RW705: try again later"}
    assert one.ask(2) == ""


async def test_strangers_have_machine_ids_read_twice_a_minute_and_no_more(site, monkeypatch):
    one, times = site(), []
    real = ReportedIdentities.machine_ids

    def counts(self):
        times.append(one.steady)
        return real(self)

    monkeypatch.setattr(ReportedIdentities, "machine_ids", counts)
    late = a_machine(5)
    async with one.serving() as (session, url):
        for second in range(62):
            one.steady = float(second)
            stranger = {"client_params": {"id": f"{second:032x}", "group": "default"}}
            async with session.post(url + PRE, json=stranger, headers=HEADER) as answer:
                assert answer.status == 403
        one.server.use(a_fleet_of(*(a_machine(number) for number in range(1, 6))))
        one.reports(late)
        one.steady = 93.0
        async with session.post(url + PRE, json=body(5), headers=HEADER) as answer:
            assert answer.status == 200
    assert times == [0.0, 31.0, 93.0]


@given(st.text() | st.none(), st.binary(max_size=300))
def test_no_request_raises_anything_else(header, data):
    with pytest.raises(MalformedRequestError):
        parse_request(header if header != "true" else "x", data)
    try:
        parse_request("true", data)
    except MalformedRequestError:
        pass
    else:
        assert json.loads(data)["client_params"]


# --- whose id it is ------------------------------------------------------------------


def test_the_id_is_the_one_that_systemd_makes_of_a_machine_id():
    # systemd-id128 machine-id --app-specific=de35106b6ec24688b63afddaa156679b, systemd 252
    assert app_specific_id("0123456789abcdef0123456789abcdef") == "583627a932274834a8ebd99f4ed41c0d"


def test_an_id_that_two_systems_share_and_one_that_is_none_are_nobodys():
    def reported(value, hardware):
        return ReportedIdentity(Identity("machine-id", value), (hardware,), NOW, NOW)

    found = clients_of(
        [
            reported(machine_id(1), "a"),
            reported(machine_id(1), "b"),
            reported("what", "c"),
            reported(machine_id(2), "d"),
        ]
    )
    assert found == {client(1): (), client(2): ("d",)}


def test_groups_are_the_machines_own_with_dots():
    machine = a_machine(1, group="tokyo/row2", groups=("tokyo", "tokyo/row2"))
    assert group_of(machine, "default") == ""
    assert group_of(machine, "tokyo.row2") == "tokyo/row2"
    assert group_of(machine, "tokyo") == "tokyo"
    assert group_of(machine, "osaka") is None


# --- when it may ---------------------------------------------------------------------


def test_other_work_waits_for_a_machine_that_restarts_and_goes_on_after_it(site):
    one = site(a_machine(1), a_machine(2, CAPTURE.name))
    server = one.server
    assert one.ask(1) == ""
    server.reports(server.loop.fleet.machines["node-02"], installed=True)
    one.reports(server.loop.fleet.machines["node-02"])
    server.approve_all()
    server.run()
    assert set(server.states().values()) == {"approved"}
    one.is_up(1)
    server.run()
    assert set(server.states().values()) == {"armed"}
    assert one.ask(1) == "failed_lock_semaphore_full"
    assert one.ask(2) == "failed_work_under_way"


def test_work_that_others_began_counts_for_the_lock_in_their_group(site):
    rows = [a_machine(number, group="lab/a", groups=("lab", "lab/a")) for number in (1, 2)]
    one = site(*rows, a_machine(3), at_once=9)
    fleet = one.server.loop.fleet
    budgets = (*fleet.settings.budgets, Budget("group", "lab/a", "disruptive", 1, 200))
    one.server.use(replace(fleet, settings=fleet.settings._replace(budgets=budgets)))
    assert one.ask(1) == ""
    assert one.ask(2) == "failed_lock_semaphore_full"
    assert one.ask(3) == ""


def test_the_hours_number_counts_machines_that_are_up_again(site):
    one = site(at_once=9)
    fleet = one.server.loop.fleet
    budgets = (Budget("fleet", "", "disruptive", 9, 2),)
    one.server.use(replace(fleet, settings=fleet.settings._replace(budgets=budgets)))
    for number in (1, 2):
        assert one.ask(number) == ""
        one.is_up(number)
    assert one.ask(3) == "failed_lock_semaphore_full"
    one.restart()
    assert one.ask(3) == "failed_lock_semaphore_full"
    one.server.now += timedelta(hours=1)
    assert one.ask(3) == ""


def test_a_restart_of_the_server_forgets_no_lock(site):
    one = site()
    assert one.ask(1) == ""
    one.restart()
    assert one.ask(2) == "failed_lock_semaphore_full"
    assert one.ask(1) == ""
    assert len(one.locks.held()) == 1
    one.is_up(1)
    assert one.locks.held() == ()
    assert one.ask(2) == ""


def test_another_commit_and_a_clock_that_was_set_forget_no_lock(site):
    one = site()
    assert one.ask(1) == ""
    one.server.use(one.server.loop.fleet)
    assert one.ask(2) == "failed_lock_semaphore_full"
    one.server.now -= timedelta(hours=3)
    one.server.loop.listen_anew(clock_was_set=True)
    assert one.ask(2) == "failed_lock_semaphore_full"
    one.is_up(1)
    assert one.ask(2) == ""


def test_outside_its_windows_a_machine_hears_until_when(site):
    night = CompiledWindows(
        "UTC",
        allow=(CompiledWindow(tuple(range(7)), 22 * 60, 23 * 60),),
        deny=(),
        holidays=frozenset(),
        position=HERE,
    )
    one = site(windows={"": night})
    found = clients_of(ReportedIdentities(one.server.database).machine_ids())
    refusal = one.locker.lock(client(1), "default", found[client(1)], "x")
    assert refusal.kind == "failed_window_closed"
    assert re.search(r"outside its windows .* until 2026-11-2\d 22:00 UTC$", refusal.value)
    one.server.now = one.server.now.replace(hour=22, minute=30)
    assert one.ask(1) == ""
    one.server.now += timedelta(hours=2)
    assert one.ask(1) == "", "what was taken stays taken"


def test_a_hold_keeps_a_machine_from_restarting(site):
    hold = CompiledHold("freeze", NOW + timedelta(minutes=20), "ops", "audit", HERE)
    one = site(a_machine(1, holds=("freeze",)), holds=(hold,))
    found = clients_of(ReportedIdentities(one.server.database).machine_ids())
    refusal = one.locker.lock(client(1), "default", found[client(1)], "x")
    assert refusal == (
        "failed_held",
        f"held by ops until {NOW + timedelta(minutes=20):%Y-%m-%d %H:%M} UTC: audit",
    )
    one.server.now += timedelta(minutes=21)
    assert one.ask(1) == ""


def test_in_quarantine_and_while_the_ledger_is_in_doubt_nothing_restarts(site):
    one = site()
    machine = one.server.loop.fleet.machines["node-01"]
    one.server.outside.observe_only = True
    assert one.ask(1) == "failed_observe_only"
    one.server.outside.observe_only = False
    one.server.loop.machines.set_quarantine(
        machine.name, machine.hardware_identities, "its token was used twice", one.server.now
    )
    assert one.ask(1) == "failed_quarantined"
    assert one.ask(2) == ""


def test_a_system_that_was_installed_anew_gives_its_machines_lock_back(site):
    one = site()
    assert one.ask(1) == ""
    one.reports(one.server.loop.fleet.machines["node-01"], machine_id=machine_id(77))
    one.is_up(77)
    assert one.locks.held() == ()
    assert one.ask(2) == ""


def test_a_machine_has_one_lock_whatever_it_is_called_and_installed_with(site):
    one = site()
    assert one.ask(1) == ""
    renamed = replace(a_machine(1), name="web-01", formerly=())
    one.server.use(a_fleet_of(renamed, a_machine(2)))
    assert one.ask(2) == "failed_lock_semaphore_full"
    assert one.ask(1) == ""
    assert len(one.locks.held()) == 1
    one.is_up(1)
    assert one.locks.held() == ()


def test_a_machine_that_left_the_fleet_keeps_its_lock_until_it_is_up_or_released(site):
    one = site()
    assert one.ask(1) == ""
    one.server.use(a_fleet_of(a_machine(2)))
    assert one.ask(2) == "failed_lock_semaphore_full"
    one.locker.unlock(client(1), ())
    assert one.ask(2) == ""


# --- what people see and do ----------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    (tmp_path / "fleet").mkdir()

    def command(*arguments):
        where = ["--repo", str(tmp_path / "fleet"), "--state", str(tmp_path)]
        return CliRunner().invoke(cli, [*arguments, *where])

    return command


def test_a_lock_whose_machine_never_came_back_is_shown_and_released(site, run):
    one = site()
    assert run("lock", "ls").output == "no machine holds the reboot lock\n"
    assert one.ask(1, "lab") == ""
    shown = run("lock", "ls").output
    assert re.fullmatch(
        rf"node-01 of group lab: taken .* from 10\.77\.0\.9, id {client(1)}\n", shown
    )
    (document,) = json.loads(run("lock", "ls", "--format", "json").output)["locks"]
    assert (document["machine"], document["since"]) == ("node-01", NOW.isoformat())
    status = run("status")
    assert "may restart: node-01 of group lab: taken" in " ".join(status.output.split())
    (listed,) = json.loads(run("status", "--format", "json").output)["rebootLocks"]
    assert listed["client"] == client(1)

    refused = run("lock", "release", "node-02", "--reason", "gone")
    assert "RW660: node-02 holds no reboot lock" in f"{refused.output}{refused.exception}"
    assert run("lock", "release", "node-01").exit_code != 0
    done = run("lock", "release", "node-01", "--reason", "its power supply is broken")
    assert done.output.startswith("released: node-01 of group lab: taken")
    assert one.ask(2) == "failed_lock_semaphore_full"
    one.locker.follow()
    assert one.ask(2) == ""
