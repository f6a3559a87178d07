"""Whether a machine that updates itself may restart now, and which machine a client is.

A machine that may counts as disruptive work until it says that it is up again. All calls come from
one event loop's thread, but for ``clients_of``.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal, NamedTuple

import structlog

from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import held_because, held_by
from reconciler.planning.windows import closed, windows_of
from reconciler.state.breakers import OpenBreaker
from reconciler.state.operation_states import AT_WORK
from reconciler.state.reboot_locks import RebootLock, RebootLocks, work_id
from reconciler.state.reported_identities import ReportedIdentity
from specs.fleet import CompiledMachine

ZINCATI_APP_ID = bytes.fromhex("de35106b6ec24688b63afddaa156679b")
"""By which Zincati derives a node's id from the machine-id (its ``src/identity``)."""
AGENT_PREFIX = "agent:"
"""Clients with this prefix to the id of a boot are our own agents, which restart for updates."""
DEFAULT_GROUP = "default"
"""What Zincati calls its group where nobody says otherwise."""

Kind = Literal[
    "failed_not_enabled",
    "failed_unknown_client",
    "failed_unknown_group",
    "failed_observe_only",
    "failed_quarantined",
    "failed_held",
    "failed_window_closed",
    "failed_work_under_way",
    "failed_breaker_open",
    "failed_lock_semaphore_full",
]
"""Clients count refusals by these, so that there are few of them and they do not change."""
FOR_GOOD: frozenset[Kind] = frozenset(
    {"failed_not_enabled", "failed_unknown_client", "failed_unknown_group"}
)
"""Asking again does not help until somebody changes something."""
Clients = Mapping[str, tuple[str, ...]]
"""By a client's id, what its hardware is known by; empty where several have that id."""

log = structlog.get_logger(__name__)


class Refusal(NamedTuple):
    """A machine may not restart now."""

    kind: Kind
    value: str
    """For people: why, and until when where that is known."""


def app_specific_id(machine_id: str, app_id: bytes = ZINCATI_APP_ID) -> str:
    """Return what ``sd_id128_get_machine_app_specific(3)`` makes of a machine-id.

    The first half of HMAC-SHA256 with the machine-id as key, marked as a UUID of version 4 (RFC
    9562). ValueError where the machine-id is not 32 hexadecimal digits.
    """
    digest = bytearray(hmac.digest(bytes.fromhex(machine_id), app_id, sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def clients_of(reported: Iterable[ReportedIdentity]) -> Clients:
    """Return which client ids the machines have that report these machine-ids. Pure."""
    found: dict[str, tuple[str, ...]] = {}
    for each in reported:
        try:
            client = app_specific_id(each.identity.value)
        except ValueError:  # an agent may report whatever it likes
            continue
        found[client] = () if client in found else each.hardware
    return found


def group_of(machine: CompiledMachine, group: str) -> str | None:
    """Return the machine's own group that a client means; None where it is in none of that name.

    The protocol has no slash: ``tokyo/row2`` is ``tokyo.row2`` there.
    """
    if group == DEFAULT_GROUP:
        return ""
    return next((each for each in machine.groups if each.replace("/", ".") == group), None)


class RebootLocker:
    """Lets machines restart by themselves, as budgets, windows and holds allow."""

    def __init__(
        self, locks: RebootLocks, reconciler: Reconciler, clock: Callable[[], datetime]
    ) -> None:
        self._locks = locks
        self._reconciler = reconciler
        self._clock = clock
        self._held = {each.hardware: each for each in locks.held()}

    @property
    def is_enabled(self) -> bool:
        """Return whether the fleet wants it."""
        return self._reconciler.fleet.settings.reboot_lock.enabled

    def lock(
        self, client: str, group: str, identities: tuple[str, ...], address: str
    ) -> Refusal | None:
        """Let a machine restart, or return why not; StateError where that cannot be kept.

        ``identities`` are of the hardware that the client is.
        """
        machine = self._machine(identities)
        if not self.is_enabled:
            return Refusal("failed_not_enabled", "the fleet has no reboot lock (spec.rebootLock)")
        if machine is None:
            return Refusal(
                "failed_unknown_client", "no machine of the fleet is known to have this id"
            )
        own_group = group_of(machine, group)
        if own_group is None:
            return Refusal("failed_unknown_group", f"{machine.name} is in no group {group}")
        return self.lock_machine(machine, client, own_group, address)

    def lock_machine(
        self, machine: CompiledMachine, client: str, group: str, address: str
    ) -> Refusal | None:
        """Let a machine restart whose own agent asks, as ``lock`` does."""
        refusal = self._refusal(machine)
        if refusal is not None:
            log.info("no reboot lock", machine=machine.name, kind=refusal.kind, why=refusal.value)
            return refusal
        if self._holds(machine) is None:
            self._take(machine, client, group, address)
        return None

    def unlock_machine(self, machine: CompiledMachine, client: str) -> None:
        """Take notice that a machine's agent does not want to restart as this client any more."""
        held = self._holds(machine)
        if held is not None and held.client != client and held.client.startswith(AGENT_PREFIX):
            self._locks.release(
                held.client, [held.hardware], self._clock(), held.machine, "its agent is back"
            )
            log.info("reboot lock released", machine=held.machine)
            self.follow()

    def unlock(self, client: str, identities: tuple[str, ...]) -> None:
        """Take notice that a machine is up again; nothing where it holds no lock."""
        machine = self._machine(identities)
        held = next((each for each in self._held.values() if each.client == client), None)
        if held is None and machine is not None:
            held = self._holds(machine)  # a system that was installed anew has another id
        if held is None:
            return
        self._locks.release(client, [held.hardware], self._clock(), held.machine, "it is up again")
        log.info("reboot lock released", machine=held.machine)
        self.follow()

    def follow(self) -> None:
        """Take notice of what a person released; StateError where it cannot be read."""
        if not self._held:
            return
        now_held = {each.hardware: each for each in self._locks.held()}
        gone = self._held.keys() - now_held.keys()
        self._held = now_held
        for hardware in gone:
            self._reconciler.ends(work_id(hardware))

    # -----------------------------------------------------------------------------

    def _machine(self, identities: tuple[str, ...]) -> CompiledMachine | None:
        owner = self._reconciler.hardware.owner(identities) if identities else None
        return None if owner is None else self._reconciler.fleet.machines[owner]

    def _holds(self, machine: CompiledMachine) -> RebootLock | None:
        """Return the lock of a machine, whatever it was called and known by when it took it."""
        owner = self._reconciler.hardware.owner
        held = self._held.values()
        return next((each for each in held if owner(each.identities) == machine.name), None)

    def _refusal(self, machine: CompiledMachine) -> Refusal | None:
        loop, now = self._reconciler, self._clock()
        if loop.observes_only():
            return Refusal("failed_observe_only", "the fleet is observe-only: nothing may begin")
        seen = loop.machines.seen(machine, loop.hardware, now)
        if seen.quarantine:
            return Refusal("failed_quarantined", f"quarantined: {seen.quarantine}")
        if self._holds(machine) is not None:
            return None  # the protocol is recursive
        hold = held_by(loop.fleet, machine, now)
        if hold is not None:
            return Refusal("failed_held", held_because(hold))
        shut = closed(windows_of(loop.fleet, machine), now, timedelta())
        if shut is not None:
            return Refusal("failed_window_closed", shut.reason)
        for status in loop.work_of(machine.name):
            if status.state in AT_WORK:
                said = f"operation {status.operation.op_id[:12]} ({status.operation.scenario})"
                return Refusal("failed_work_under_way", f"{said} is under way on {machine.name}")
        return self._limit(machine, now)

    def _limit(self, machine: CompiledMachine, now: datetime) -> Refusal | None:
        limit = self._reconciler.limit_of(self._lock(machine, "", "", "", now).work, now)
        if limit is None:
            return None
        if isinstance(limit, OpenBreaker):
            return Refusal("failed_breaker_open", f"{machine.name} waits for {limit}")
        return Refusal("failed_lock_semaphore_full", f"{machine.name} waits for {limit}")

    def _take(self, machine: CompiledMachine, client: str, group: str, address: str) -> None:
        lock = self._lock(machine, client, group, address, self._clock())
        self._locks.take(lock)
        self._held[lock.hardware] = lock
        self._reconciler.begins(lock.work)
        log.info("reboot lock taken", machine=machine.name, client=client, address=address)

    @staticmethod
    def _lock(
        machine: CompiledMachine, client: str, group: str, address: str, now: datetime
    ) -> RebootLock:
        return RebootLock(
            client=client,
            group=group,
            machine=machine.name,
            hardware=machine.hardware_identity,
            identities=machine.hardware_identities,
            address=address,
            since=now,
        )
