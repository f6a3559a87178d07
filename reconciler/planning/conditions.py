"""The condition of each machine, with one reason. Pure.

A condition is what a person asks for first: is the machine as the repository wants it
(Ready), is something under way or about to begin (Reconciling), does it wait for
somebody (Stalled), or is too little known of it (Unknown).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal, NamedTuple

from reconciler.planning.approvals import MissingApprovals
from reconciler.planning.item import RISKS, DriftedValue, PlanItem, Risk
from reconciler.planning.plan import WAITS_FOR_APPROVAL, approval_of
from reconciler.planning.planner import History, former_name
from reconciler.planning.shared_identity import SharedIdentity, sentences
from reconciler.planning.upcoming_work import UpcomingWork
from reconciler.state.breakers import OpenBreaker
from reconciler.state.delays import Delay
from reconciler.state.discovered import DiscoveredMachine
from reconciler.state.inventory_head import InventoryHead
from reconciler.state.observed import Fault, Observed, ObservedMachine
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, OperationState
from reconciler.state.reboot_locks import RebootLock
from reconciler.state.rollouts import RolloutProgress, Unhealthy
from specs.fleet import CompiledFleet, CompiledMachine

Condition = Literal["Ready", "Reconciling", "Stalled", "Unknown"]
CONDITIONS: tuple[Condition, ...] = ("Ready", "Reconciling", "Stalled", "Unknown")
FurtherType = Literal["Drifted", "Duplicate", "Unhealthy"]
FURTHER: tuple[FurtherType, ...] = ("Drifted", "Duplicate", "Unhealthy")
"""What may hold of a machine besides its condition."""
_PRECEDENCE = {risk: place for place, risk in enumerate(RISKS)}
_UNSEEN = ObservedMachine()


class FurtherCondition(NamedTuple):
    """What holds of a machine besides, and why."""

    type: FurtherType
    reason: str
    since: datetime | None
    """When it began; None where nobody knows."""
    values: tuple[DriftedValue, ...] = ()
    """What differs from what is wanted."""


class MachineCondition(NamedTuple):
    """A machine's condition and why."""

    machine: str
    group: str
    condition: Condition
    reason: str
    since: datetime | None
    """When the operation that decides the condition came to its state; None: none does."""
    run: str
    """The newest assignment as ``scenario run``."""
    last_seen: datetime | None
    display_name: str = ""
    """What people call it; empty where nobody said."""
    group_display_name: str = ""
    scenario_display_name: str = ""
    further: tuple[FurtherCondition, ...] = ()


def machine_conditions(  # noqa: PLR0913, PLR0917 - all that a condition depends on
    desired: CompiledFleet,
    machines: Iterable[CompiledMachine],
    observed: Observed,
    history: History,
    items: Iterable[PlanItem],
    waits_for: Mapping[str, str],
    unattended: Collection[str],
    approvals: MissingApprovals,
    shared: Mapping[str, tuple[SharedIdentity, ...]],
    now: datetime,
) -> tuple[MachineCondition, ...]:
    """Return the conditions of some machines of ``desired``, in their order.

    ``history`` is ``history_of`` the observed operations, ``items`` is what is planned for
    these machines, ``waits_for`` says of an approved operation, by its id, which budget
    holds it back, or which moment (it may be empty), ``unattended`` are the ids of those that
    need no approval, ``approvals`` which are missing by rule, and ``shared`` is what each
    machine has in common with others although it should be its own.
    The reason of a renamed machine says so, until something is heard under its new name.
    """
    faults = {fault.subject: fault for fault in observed.faults}
    oldest = now - timedelta(seconds=desired.settings.observation_max_age_seconds)
    delays = observed.delays
    context = _Context(
        desired, waits_for, delays, unattended, approvals, shared, observed.unhealthy, oldest
    )
    planned: dict[str, PlanItem] = {}
    drifted: dict[str, PlanItem] = {}
    for item in items:
        known = planned.get(item.machine)
        if known is None or _PRECEDENCE[item.risk] < _PRECEDENCE[known.risk]:
            planned[item.machine] = item
        if item.drift:
            drifted.setdefault(item.machine, item)
    return tuple(
        _condition_of(
            context,
            machine,
            observed.machines.get(machine.name, _UNSEEN),
            planned.get(machine.name),
            drifted.get(machine.name),
            history[machine.name][0] if machine.name in history else (),
            faults.get(f"machine/{machine.name}"),
        )
        for machine in machines
    )


class _Context(NamedTuple):
    """What the conditions of all machines depend on."""

    desired: CompiledFleet
    waits_for: Mapping[str, str]
    delays: Mapping[str, Delay]
    unattended: Collection[str]
    approvals: MissingApprovals
    shared: Mapping[str, tuple[SharedIdentity, ...]]
    unhealthy: Mapping[str, Unhealthy]
    oldest: datetime
    """What was heard before is too old to say anything."""


class _State(NamedTuple):
    condition: Condition
    reason: str
    since: datetime | None


class _Work(NamedTuple):
    """The newest of a machine's operations: under way, ended, and verified."""

    running: OperationStatus | None
    ended: OperationStatus | None
    verified: OperationStatus | None
    planned: tuple[OperationStatus, ...] = ()
    """Those that nobody has approved, or not any more."""

    def lapsed(self, item: PlanItem) -> str:
        """Return why an earlier approval of an item holds no more; empty where there was none."""
        op_id = item.operation.op_id if item.operation else ""
        found = (each.reason for each in self.planned if each.operation.op_id == op_id)
        return next(found, "")

    def taken_back(self) -> str:
        """Return why the newest work is not done: a run by hand that lost its approval."""
        newest = self.ended
        if newest is None or newest not in self.planned or not newest.operation.is_by_hand:
            return ""
        said = f"{newest.operation.scenario} by hand is not approved any more: {newest.reason}"
        return said if newest.reason else ""


def _condition_of(  # noqa: PLR0913, PLR0917 - likewise
    context: _Context,
    machine: CompiledMachine,
    seen: ObservedMachine,
    item: PlanItem | None,
    drifted: PlanItem | None,
    operations: Iterable[OperationStatus],
    fault: Fault | None,
) -> MachineCondition:
    operations = tuple(operations)
    work = _newest(operations)
    state = (
        _State("Stalled", f"{fault.code}: {fault.cause}", fault.since)
        if fault is not None
        else _state_of(context, seen, item, work)
    )
    stalling = tuple(_duplicates(machine.name, context.shared.get(machine.name, ())))
    if state.condition == "Ready":
        stalling += tuple(_failed_health(context.unhealthy, work.verified))
    reason = "; ".join((state.reason, *(each.reason for each in stalling)))
    if stalling and state.condition == "Ready":
        state = state._replace(condition="Stalled", since=stalling[0].since)
        reason = "; ".join(each.reason for each in stalling)
    if taken_back := work.taken_back():
        reason = f"{reason}; {taken_back}"
    before = former_name(machine.name, seen, operations)
    if before:
        reason = f"renamed from {before}; {reason}"
    newest = machine.assignments[-1] if machine.assignments else None
    desired = context.desired
    return MachineCondition(
        machine=machine.name,
        group=machine.group,
        condition=state.condition,
        reason=reason,
        since=state.since,
        run=f"{newest.scenario} {newest.run}" if newest else "",
        last_seen=seen.last_seen,
        display_name=machine.display_name,
        group_display_name=desired.group_display_names.get(machine.group, ""),
        scenario_display_name=desired.scenarios[newest.scenario].display_name if newest else "",
        further=(*_drift(seen, drifted), *stalling),
    )


def _drift(seen: ObservedMachine, item: PlanItem | None) -> Iterator[FurtherCondition]:
    if item is not None and item.drift:
        since = seen.installed.since if seen.installed else None
        yield FurtherCondition("Drifted", item.reason, since, item.drift)


def _duplicates(machine: str, shared: tuple[SharedIdentity, ...]) -> Iterator[FurtherCondition]:
    if shared:
        reason = "; ".join(sentences(machine, shared))
        yield FurtherCondition("Duplicate", reason, min(each.since for each in shared))


def _failed_health(
    unhealthy: Mapping[str, Unhealthy], verified: OperationStatus | None
) -> Iterator[FurtherCondition]:
    found = unhealthy.get(verified.operation.op_id) if verified is not None else None
    if found is not None:
        reason = f"it failed its health check in rollout {found.rollout_id}: {found.reason}"
        yield FurtherCondition("Unhealthy", reason, found.at)


def _newest(operations: Iterable[OperationStatus]) -> _Work:
    work = _Work(None, None, None)
    for status in operations:
        if status.state in ACTIVE:
            work = work._replace(running=status)
            continue
        if status.state is OperationState.PLANNED:
            work = work._replace(planned=(*work.planned, status))
        work = work._replace(ended=status)
        if status.state is OperationState.VERIFIED:
            work = work._replace(verified=status)
    return work


def _state_of(
    context: _Context, seen: ObservedMachine, item: PlanItem | None, work: _Work
) -> _State:
    if work.running is not None:
        return _at_work(context, seen, work.running)
    if item is not None:
        condition, reason = _planned(context, item, work.lapsed)
        is_due_to_end = condition == "Stalled" and work.ended is not work.verified
        since = work.ended.at if work.ended is not None and is_due_to_end else None
        return _State(condition, reason, since)
    silence = _silence(seen, context.oldest)
    if silence:
        return _State("Unknown", silence, None)
    return _State("Ready", _ready(seen, work.verified), work.verified.at if work.verified else None)


def _at_work(context: _Context, seen: ObservedMachine, running: OperationStatus) -> _State:
    condition: Condition = "Reconciling"
    reason = f"{running.operation.kind}: {running.state}"
    if seen.quarantine and running.state is not OperationState.STARTED:
        condition, reason = "Stalled", f"quarantined: {seen.quarantine}; {reason}"
    op_id = running.operation.op_id
    delay = context.delays.get(op_id)
    waits = context.waits_for.get(op_id)
    if running.state is OperationState.STARTED and delay is not None:
        waits = delay.why
    if waits:
        since = delay.since if delay and delay.why == waits else None
        reason = f"{reason}, waits for {waits}"
        reason += f", since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    return _State(condition, reason, running.at)


def _planned(
    context: _Context, item: PlanItem, lapsed: Callable[[PlanItem], str]
) -> tuple[Condition, str]:
    if not item.starts:
        return "Unknown" if item.risk is Risk.UNKNOWN else "Stalled", item.reason
    missing = context.approvals.of(item)
    said = f"{WAITS_FOR_APPROVAL} ({missing})" if missing else approval_of(item, context.unattended)
    before = lapsed(item)
    reason = f"{said}: {item.reason}" + (f". It was approved before: {before}" if before else "")
    return "Unknown" if item.risk is Risk.UNKNOWN else "Reconciling", reason


def _silence(seen: ObservedMachine, oldest: datetime) -> str:
    """Return why nothing is known of the machine now; empty where something is."""
    heard = seen.last_seen
    if heard is None:
        return "nothing was ever heard of it: start it once with network boot"
    if heard >= oldest:
        return ""
    said = f"nothing was heard of it since {heard:%Y-%m-%d %H:%M:%S} UTC"
    if seen.installed is not None:
        return f"{said}: see whether it is on and reaches the server"
    return f"{said}, and no agent is installed: start it once with network boot"


def _ready(seen: ObservedMachine, verified: OperationStatus | None) -> str:
    system = seen.installed.installed if seen.installed else None
    if system is not None:
        return f"{system.hostname}, {system.os}, machine-id {system.machine_id[:8]}"
    if verified is not None:
        operation = verified.operation
        return f"{operation.scenario} run {operation.run} is verified"
    return "nothing is asked of it"


class ScrubStatus(NamedTuple):
    """How the scrubs of the image store stand."""

    running_since: datetime | None
    """None: none is under way."""
    percent: int
    """How far it is; 100 where none is under way."""
    ended: datetime | None
    """When the last one ended; None: none did."""
    damages: int
    """What the one that is under way found so far, else the last one."""


class FleetStatus(NamedTuple):
    """The machines that were asked for."""

    machines: tuple[MachineCondition, ...]
    """Those of the conditions that were asked for, in the order of names."""
    counts: Mapping[Condition, int]
    """Of all that the filter means, in whatever condition they are."""
    further: Mapping[FurtherType, int]
    """Of the same machines, those of which these hold besides."""
    discovered: tuple[DiscoveredMachine, ...]
    """Machines that are in no document and asked for a boot, or whose agents joined."""
    faults: tuple[Fault, ...] = ()
    """What does not work in the server, apart from machines that are there."""
    breakers: tuple[OpenBreaker, ...] = ()
    """What holds back new work after failures."""
    reboot_locks: tuple[RebootLock, ...] = ()
    """Machines that may restart by themselves and have not said that they are up again."""
    rollouts: tuple[RolloutProgress, ...] = ()
    """Those that have not ended."""
    approvals: tuple[str, ...] = ()
    """Which approvals are missing of plans that wait for more, a sentence each."""
    scheduled: tuple[UpcomingWork, ...] = ()
    """What schedules do next on them, the soonest first."""
    inventories: Mapping[str, InventoryHead] = MappingProxyType({})
    """By machine, what its agent said last of what is installed."""
    scrub: ScrubStatus | None = None
    """None: the image store was never scrubbed."""

    @property
    def total(self) -> int:
        """Return how many machines the filter means."""
        return sum(self.counts.values())


def count_conditions(states: Iterable[MachineCondition]) -> dict[Condition, int]:
    """Return the number of machines in each condition; every condition is there."""
    counts: dict[Condition, int] = dict.fromkeys(CONDITIONS, 0)
    for state in states:
        counts[state.condition] += 1
    return counts


def count_further(states: Iterable[MachineCondition]) -> dict[FurtherType, int]:
    """Return of how many machines each further condition holds; every one is there."""
    counts: dict[FurtherType, int] = dict.fromkeys(FURTHER, 0)
    for state in states:
        for each in state.further:
            counts[each.type] += 1
    return counts


def count_by_group(
    states: Iterable[MachineCondition], most: int
) -> dict[str, dict[Condition, int]]:
    """Return the machines counted by group and condition, at most ``most`` groups.

    All are counted at one depth, the deepest at which the rows fit; a name ends with
    ``/**`` where groups below it are counted too.
    """
    by_group: dict[str, list[MachineCondition]] = {}
    for state in states:
        by_group.setdefault(state.group, []).append(state)
    depth = max((group.count("/") + 1 for group in by_group), default=0)
    while depth > 0 and len({_above(group, depth) for group in by_group}) > most:
        depth -= 1
    rows: dict[str, list[str]] = {}
    for group in sorted(by_group):
        rows.setdefault(_above(group, depth), []).append(group)
    return {
        place if groups == [place] else f"{place}/**".removeprefix("/"): count_conditions(
            state for group in groups for state in by_group[group]
        )
        for place, groups in rows.items()
    }


def _above(group: str, depth: int) -> str:
    return "/".join(group.split("/")[:depth])
