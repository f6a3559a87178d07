"""What machines are told to install by themselves, and what they say of it.

Orders are the same for all machines of one policy with the same windows: they are worked out once,
and again every ``REFRESH``, by which the server has fetched more files, a person has asked, or
a quarantine has ended.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from aiohttp import web

from agent.wire.updates import Permission, RestartRequest, UpdateOrders, UpdateReport
from providers.content.store import ContentStore
from reconciler.errors import StateError
from reconciler.loop.reboot_locks import AGENT_PREFIX, RebootLocker
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import held_because, held_by
from reconciler.planning.updates import FREE, Held, held, orders_of
from reconciler.server.agent_requests import answer, body_of
from reconciler.state.updates import UpdateRecords
from reconciler.trust.identity import AgentIdentity
from specs.fleet import CompiledFleet, CompiledMachine, CompiledUpdatePolicy, CompiledWindows

REFRESH = timedelta(seconds=5)
FETCH_LEASE = timedelta(minutes=15)
"""After this long without a word a machine is taken to have ended fetching."""
PRUNE_INTERVAL = 3600.0
"""Seconds."""
_MOST_BODY = 8 << 20
_OBSERVE_ONLY = Held("the fleet is observe-only: nothing may begin")

log = structlog.get_logger(__name__)


class _Orders(NamedTuple):
    orders: UpdateOrders
    digest: str


_NOTHING = _Orders(UpdateOrders(), UpdateOrders().digest)


class _Known(NamedTuple):
    """What orders were made of, and when that was read."""

    fleet: CompiledFleet
    at: datetime
    notices: Mapping[str, int]
    """By machine, when a person asked it last."""
    quarantines: Mapping[str, str]
    """By machine, why."""
    orders: dict[tuple[str, str, Held, int], _Orders]
    """By policy, who says the windows, why nothing may begin, and when a person asked."""


class UpdateDesk:
    """Tells machines what they install by themselves, and hears how far they are.

    All calls come from the event loop's thread.
    """

    def __init__(
        self,
        records: UpdateRecords,
        reconciler: Reconciler,
        locker: RebootLocker,
        content: ContentStore,
        clock: Callable[[], datetime],
    ) -> None:
        self._records = records
        self._reconciler = reconciler
        self._locker = locker
        self._content = content
        self._clock = clock
        self._known: _Known | None = None
        self._fetching: dict[str, datetime] = {}
        """By hardware, until when a machine's turn to fetch lasts."""

    def digest(self, machine: CompiledMachine) -> str:
        """Return the digest of a machine's orders; empty where they cannot be told now."""
        try:
            return self._orders(machine).digest
        except StateError:
            return ""

    def orders(self, machine: CompiledMachine) -> UpdateOrders:
        """Return what a machine installs by itself; StateError where that cannot be read."""
        return self._orders(machine).orders

    def heard(self, machine: CompiledMachine, report: UpdateReport) -> None:
        """Keep how far a machine is; StateError where that is not possible now."""
        self._records.record(machine, report, self._clock())
        if report.phase != "fetching":
            self._fetching.pop(machine.hardware_identity, None)
        client = f"{AGENT_PREFIX}{report.boot_id}" if report.phase == "restart" else ""
        self._locker.unlock_machine(machine, client)

    def may_fetch(self, machine: CompiledMachine) -> Permission:
        """Give a machine its turn to fetch, if not too many of its policy have theirs."""
        fleet, now = self._reconciler.fleet, self._clock()
        policy = fleet.update_policy_of(machine)
        if policy is None:
            return Permission(granted=False, why="no policy has it install anything")
        self._fetching = {each: until for each, until in self._fetching.items() if now < until}
        mine = machine.hardware_identity
        others = sum(
            each != mine and self._policy_of(each) == policy.name for each in self._fetching
        )
        if others >= policy.fetching_at_once:
            why = f"{others} machines of policy {policy.name} fetch at one time already"
            return Permission(granted=False, why=why)
        self._fetching.setdefault(mine, now + FETCH_LEASE)
        return Permission(granted=True)

    def may_restart(self, machine: CompiledMachine, boot_id: str, address: str) -> Permission:
        """Let a machine restart, as budgets, windows and holds allow."""
        if self._reconciler.fleet.update_policy_of(machine) is None:
            return Permission(granted=False, why="no policy has it install anything")
        client = f"{AGENT_PREFIX}{boot_id}"
        refusal = self._locker.lock_machine(machine, client, "", address)
        return (
            Permission(granted=True)
            if refusal is None
            else Permission(granted=False, why=refusal.value)
        )

    async def prune_for_ever(self) -> None:
        """Forget old results every hour: a task for a supervisor."""
        while True:
            await asyncio.sleep(PRUNE_INTERVAL)
            keep = self._reconciler.fleet.settings.keep_evidence_seconds
            with suppress(StateError):
                self._records.prune(self._clock() - timedelta(seconds=keep))

    # -----------------------------------------------------------------------------

    def _orders(self, machine: CompiledMachine) -> _Orders:
        fleet = self._reconciler.fleet
        policy = fleet.update_policy_of(machine)
        if policy is None:
            return _NOTHING
        now = self._clock()
        known = self._refreshed(now)
        said = fleet.windows_of(machine)
        level = said[0] if said else ""
        why = self._held(machine, known, now)
        notice = known.notices.get(machine.name, 0) if policy.check_on_notice else 0
        key = policy.name, level, why, notice
        found = known.orders.get(key)
        if found is None:
            free = known.orders.get((policy.name, level, FREE, 0))
            base = free.orders if free else self._made(fleet, policy, said and said[1], now)
            orders = held(base, why, notice)
            found = known.orders[key] = _Orders(orders, orders.digest)
        return found

    def _policy_of(self, hardware: str) -> str:
        owner = self._reconciler.hardware.owner((hardware,))
        if owner is None:
            return ""
        fleet = self._reconciler.fleet
        policy = fleet.update_policy_of(fleet.machines[owner])
        return policy.name if policy else ""

    def _made(
        self,
        fleet: CompiledFleet,
        policy: CompiledUpdatePolicy,
        windows: CompiledWindows | None,
        now: datetime,
    ) -> UpdateOrders:
        store = self._content

        def size(sha256: str) -> int | None:
            return store.size(sha256) if store.has(sha256) else None

        return orders_of(fleet, policy, windows, now, size)

    def _held(self, machine: CompiledMachine, known: _Known, now: datetime) -> Held:
        loop = self._reconciler
        if loop.observes_only():
            return _OBSERVE_ONLY
        if machine.name in known.quarantines:
            return Held(f"quarantined: {known.quarantines[machine.name]}")
        hold = held_by(loop.fleet, machine, now)
        if hold is not None:
            return Held(held_because(hold), int(hold.until.timestamp()))
        return FREE

    def _refreshed(self, now: datetime) -> _Known:
        fleet, known = self._reconciler.fleet, self._known
        if known is not None and known.fleet is fleet and abs(now - known.at) < REFRESH:
            return known
        owner = self._reconciler.hardware.owner
        notices: dict[str, int] = {}
        for notice in self._records.notices():
            name = owner(notice.identities)
            if name is not None:
                notices[name] = int(notice.at.timestamp())
        quarantines: dict[str, str] = {}
        for each in self._reconciler.machines.quarantines():
            name = owner(each.identities)
            if name is not None:
                quarantines[name] = each.reason
        self._known = _Known(fleet, now, notices, quarantines, {})
        return self._known


class UpdateApi:
    """The routes. ``peer`` returns whose agent of an installed system asks, else it refuses."""

    def __init__(
        self,
        desk: UpdateDesk,
        peer: Callable[[web.Request], AgentIdentity],
        machine_of: Callable[[str], CompiledMachine | None],
    ) -> None:
        self._desk = desk
        self._peer = peer
        self._machine_of = machine_of

    def routes(self) -> list[web.RouteDef]:
        """Return the routes for an aiohttp application."""
        return [
            web.get("/v1/updates", self.orders),
            web.post("/v1/updates", self.report),
            web.post("/v1/updates/fetch", self.fetch),
            web.post("/v1/updates/restart", self.restart),
        ]

    async def orders(self, request: web.Request) -> web.Response:
        """Say what the machine installs by itself; one that is in no document nothing."""
        machine = self._machine(request)
        return answer(UpdateOrders() if machine is None else self._desk.orders(machine))

    async def report(self, request: web.Request) -> web.Response:
        """Keep how far the machine is."""
        machine = self._machine(request)
        report = await body_of(request, UpdateReport, _MOST_BODY)
        if machine is not None:
            self._desk.heard(machine, report)
        return web.Response(status=204)

    async def fetch(self, request: web.Request) -> web.Response:
        """Answer whether the machine may fetch now."""
        machine = self._machine(request)
        return answer(_UNKNOWN if machine is None else self._desk.may_fetch(machine))

    async def restart(self, request: web.Request) -> web.Response:
        """Answer whether the machine may restart now."""
        machine = self._machine(request)
        wanted = await body_of(request, RestartRequest)
        if machine is None:
            return answer(_UNKNOWN)
        permission = self._desk.may_restart(machine, wanted.boot_id, request.remote or "")
        log.info(
            "restart for updates",
            machine=machine.name,
            granted=permission.granted,
            why=permission.why,
        )
        return answer(permission)

    def _machine(self, request: web.Request) -> CompiledMachine | None:
        return self._machine_of(self._peer(request).machine)


_UNKNOWN = Permission(granted=False, why="the machine is in no document")
