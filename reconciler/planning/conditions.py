"""The condition of each machine, with one reason. Pure.

A condition is what a person asks for first: is the machine as the repository wants it
(Ready), is something under way or waiting for approval (Reconciling), does it wait for
somebody (Stalled), or is too little known of it (Unknown).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from reconciler.planning.approvals import NONE_MISSING, MissingApprovals
from reconciler.planning.item import RISKS, PlanItem, Risk
from reconciler.planning.planner import History, former_name
from reconciler.state.breakers import OpenBreaker
from reconciler.state.observed import Fault, Observed, ObservedMachine
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, OperationState
from specs.fleet import CompiledFleet, CompiledMachine

Condition = Literal["Ready", "Reconciling", "Stalled", "Unknown"]
CONDITIONS: tuple[Condition, ...] = ("Ready", "Reconciling", "Stalled", "Unknown")
_PRECEDENCE = {risk: place for place, risk in enumerate(RISKS)}
_UNSEEN = ObservedMachine()


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


def machine_conditions(  # noqa: PLR0913, PLR0917 - all that a condition depends on
    desired: CompiledFleet,
    machines: Iterable[CompiledMachine],
    observed: Observed,
    history: History,
    items: Iterable[PlanItem],
    waits_for: Mapping[str, str],
    approvals: MissingApprovals = NONE_MISSING,
) -> tuple[MachineCondition, ...]:
    """Return the conditions of some machines of ``desired``, in their order.

    ``history`` is ``history_of`` the observed operations, ``items`` is what is planned for
    these machines, ``waits_for`` says of an approved operation, by its id, which budget
    holds it back, or which moment (it may be empty), and ``approvals`` which are missing.
    The reason of a renamed machine says so, until something is heard under its new name.
    """
    faults = {fault.subject: fault for fault in observed.faults}
    planned: dict[str, PlanItem] = {}
    for item in items:
        known = planned.get(item.machine)
        if known is None or _PRECEDENCE[item.risk] < _PRECEDENCE[known.risk]:
            planned[item.machine] = item
    return tuple(
        _condition_of(
            desired,
            machine,
            observed.machines.get(machine.name, _UNSEEN),
            planned.get(machine.name),
            history[machine.name][0] if machine.name in history else (),
            waits_for,
            approvals,
            faults.get(f"machine/{machine.name}"),
        )
        for machine in machines
    )


def _condition_of(  # noqa: PLR0913, PLR0917 - likewise
    desired: CompiledFleet,
    machine: CompiledMachine,
    seen: ObservedMachine,
    item: PlanItem | None,
    operations: Iterable[OperationStatus],
    waits_for: Mapping[str, str],
    approvals: MissingApprovals,
    fault: Fault | None,
) -> MachineCondition:
    running = ended = verified = None
    for status in operations:
        if status.state in ACTIVE:
            running = status
            continue
        ended = status
        if status.state is OperationState.VERIFIED:
            verified = status
    condition: Condition
    since: datetime | None
    if running is not None:
        condition, since = "Reconciling", running.at
        reason = f"{running.operation.kind}: {running.state}"
        if seen.quarantine and running.state is not OperationState.STARTED:
            condition, reason = "Stalled", f"quarantined: {seen.quarantine}; {reason}"
    elif item is None:
        condition, reason = "Ready", _ready(seen, verified)
        since = verified.at if verified is not None else None
    else:
        condition, reason = _planned(item, approvals.of(item), _why_lapsed(item, operations))
        is_due_to_end = condition == "Stalled" and ended is not verified
        since = ended.at if ended is not None and is_due_to_end else None
    waits = waits_for.get(running.operation.op_id) if running is not None else None
    if waits:
        reason = f"{reason}, waits for {waits}"
    if fault is not None:
        condition, reason, since = "Stalled", f"{fault.code}: {fault.cause}", fault.since
    before = former_name(machine.name, seen, operations)
    if before:
        reason = f"renamed from {before}; {reason}"
    newest = machine.assignments[-1] if machine.assignments else None
    return MachineCondition(
        machine=machine.name,
        group=machine.group,
        condition=condition,
        reason=reason,
        since=since,
        run=f"{newest.scenario} {newest.run}" if newest else "",
        last_seen=seen.last_seen,
        display_name=machine.display_name,
        group_display_name=desired.group_display_names.get(machine.group, ""),
        scenario_display_name=desired.scenarios[newest.scenario].display_name if newest else "",
    )


def _planned(item: PlanItem, approvals: str, lapsed: str) -> tuple[Condition, str]:
    if item.risk is Risk.UNKNOWN:
        return "Unknown", item.reason
    if item.risk is Risk.BLOCKED:
        return "Stalled", item.reason
    missing = f" ({approvals})" if approvals else ""
    before = f". It was approved before: {lapsed}" if lapsed else ""
    return "Reconciling", f"waits for approval{missing}: {item.reason}{before}"


def _why_lapsed(item: PlanItem, operations: Iterable[OperationStatus]) -> str:
    """Return why an earlier approval of an item holds no more; empty where there was none."""
    op_id = item.operation.op_id if item.operation else ""
    return next(
        (
            status.reason
            for status in operations
            if status.operation.op_id == op_id and status.state is OperationState.PLANNED
        ),
        "",
    )


def _ready(seen: ObservedMachine, verified: OperationStatus | None) -> str:
    system = seen.installed.installed if seen.installed else None
    if system is not None:
        return f"{system.hostname}, {system.os}, machine-id {system.machine_id[:8]}"
    if verified is not None:
        operation = verified.operation
        return f"{operation.scenario} run {operation.run} is verified"
    return "nothing is asked of it"


class FleetStatus(NamedTuple):
    """The machines that were asked for."""

    machines: tuple[MachineCondition, ...]
    """Those of the conditions that were asked for, in the order of names."""
    counts: Mapping[Condition, int]
    """Of all that the filter means, in whatever condition they are."""
    unknown_macs: tuple[str, ...]
    """MACs that asked for a boot and belong to no machine of the fleet."""
    faults: tuple[Fault, ...] = ()
    """What does not work in the server, apart from machines that are there."""
    breakers: tuple[OpenBreaker, ...] = ()
    """What holds back new work after failures."""
    approvals: tuple[str, ...] = ()
    """Which approvals are missing of plans that wait for more, a sentence each."""

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
