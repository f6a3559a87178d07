"""``plan(desired, observed, now)``: the one function that decides what has to happen."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent.wire.report import InstalledSystem
from reconciler.planning.decision import Decision, blocked
from reconciler.planning.estimate import budget_of
from reconciler.planning.item import DriftedValue, PlanItem, Risk
from reconciler.planning.machine_view import Disputed, MachineView, still_to_come
from reconciler.planning.plan import Plan, plan_of, with_rollouts, with_schedules
from reconciler.planning.scenario_work import work_for
from reconciler.planning.scheduled_work import why_never
from reconciler.planning.system_work import system_work_for
from reconciler.planning.update_coverage import update_items
from reconciler.state.hardware import FleetHardware
from reconciler.state.observed import (
    CLOCK_TOLERANCE,
    Capture,
    Observed,
    ObservedMachine,
    is_fresh,
    is_future,
)
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, ENDED, OperationState
from specs.fleet import (
    Assignment,
    CompiledFleet,
    CompiledHold,
    CompiledMachine,
    Origin,
)

_SHORT = 12
"""Hex digits of an operation that people see."""
_NOTHING: tuple[tuple[OperationStatus, ...], tuple[Disputed, ...]] = ((), ())
History = Mapping[str, tuple[tuple[OperationStatus, ...], tuple[Disputed, ...]]]
"""By machine, its operations and those that another machine may have had instead."""


def plan(desired: CompiledFleet, observed: Observed, now: datetime) -> Plan:
    """Return all that separates ``observed`` from ``desired``, largest risk first.

    Empty once the fleet has converged and was heard of recently enough.
    """
    machines = desired.machines.values()
    hardware = FleetHardware(machines)
    items = [
        *fleet_items(desired),
        *plan_machines(desired, machines, hardware, observed, now),
        *schedule_items(desired, machines, observed),
        *update_items(desired, machines, observed),
    ]
    made = plan_of(desired.revision, now, items, budget_of(desired.settings))
    return with_schedules(with_rollouts(made, desired), desired, observed)


def plan_machines(  # noqa: PLR0913, PLR0917 - the history is beside what it is made of
    desired: CompiledFleet,
    machines: Iterable[CompiledMachine],
    hardware: FleetHardware,
    observed: Observed,
    now: datetime,
    history: History | None = None,
) -> Iterator[PlanItem]:
    """Yield what separates some machines from their desired state.

    ``hardware`` is that of the whole fleet: what another machine may have had decides too.
    ``history`` is ``history_of`` the observed operations, for callers who have it at hand.
    """
    if history is None:
        history = history_of(hardware, observed.operations)
    captures: defaultdict[str, list[Capture]] = defaultdict(list)
    for capture in observed.captures:
        captures[capture.operation].append(capture)
    max_age = timedelta(seconds=desired.settings.observation_max_age_seconds)
    unseen = ObservedMachine()

    def view_of(machine: CompiledMachine) -> MachineView:
        operations, disputed = history.get(machine.name, _NOTHING)
        return MachineView(
            machine=machine,
            network=desired.networks.get(machine.network),
            seen=observed.machines.get(machine.name, unseen),
            operations=operations,
            disputed=disputed,
            images=observed.images,
            store_problem=observed.store_problem,
            signed_images_only=desired.settings.signed_images_only,
            max_age=max_age,
            now=now,
            declared_images=desired.images,
            captures=tuple(
                capture
                for status in operations
                for capture in captures.get(status.operation.op_id, ())
            ),
        )

    own_images = {
        name for name, scenario in desired.scenarios.items() if scenario.on("") is not scenario
    }
    decided: dict[tuple[object, ...], list[Decision]] = {}
    for machine in machines:
        before = ""
        if machine.name in observed.machines or machine.name in history or machine.protect:
            view = view_of(machine)
            before = former_name(machine.name, view.seen, view.operations)
            decisions = _decisions(desired, view)
        else:
            # Where nothing is known of machines and the same is wanted, the same is to be done.
            asked = any(each.scenario in own_images for each in machine.assignments)
            wanted = (
                machine.assignments,
                machine.holds,
                machine.unsupported,
                machine.protect,
                machine.name if asked else "",
            )
            if wanted not in decided:
                decided[wanted] = _decisions(desired, view_of(machine))
            decisions = decided[wanted]
        for decision in decisions:
            yield decision.item(machine, before, desired.group_display_names.get(machine.group, ""))


def history_of(fleet: FleetHardware, operations: Iterable[OperationStatus]) -> History:
    """Return each machine's operations, and those that another machine may have had instead.

    They are found by the hardware, whatever the machine was called and whichever
    of its identities were known when the operation was planned.
    """
    own: dict[str, list[OperationStatus]] = {}
    disputed: dict[str, list[Disputed]] = {}
    for status in operations:
        owners = fleet.owners(status.operation.identities)
        if len(owners) == 1:
            own.setdefault(owners[0], []).append(status)
            continue
        for name in owners:
            disputed.setdefault(name, []).append(Disputed(status, owners))
    return {
        name: (tuple(own.get(name, ())), tuple(disputed.get(name, ())))
        for name in own.keys() | disputed.keys()
    }


def former_name(name: str, seen: ObservedMachine, operations: Iterable[OperationStatus]) -> str:
    """Return what the machine ``name`` was called before; empty where it has kept its name.

    That is the newest name that an observation or an operation of its hardware carries:
    once something is heard under the new name, the rename is history.
    """
    known = seen.known_as
    newest, at = known or ("", None)
    for status in operations:
        if at is None or at < status.at:
            newest, at = status.operation.machine, status.at
    return "" if newest == name else newest


def fleet_items(desired: CompiledFleet) -> Iterator[PlanItem]:
    """Yield what concerns no machine: documents that nothing here acts on yet."""
    for document in desired.unsupported:
        yield PlanItem(
            machine="",
            subject=f"{document.kind} {document.name}",
            group="",
            risk=Risk.BLOCKED,
            action=document.kind,
            reason=document.reason,
            cause=Origin(document.position),
            unblock="Nothing to do: it waits for a version of Rackwright that acts on it",
            display_name=document.display_name,
        )


def schedule_items(
    desired: CompiledFleet, machines: Iterable[CompiledMachine], observed: Observed
) -> Iterator[PlanItem]:
    """Yield what schedules that select some machines will not do on them, and why."""
    for machine in machines:
        for name in machine.schedules:
            schedule = desired.schedules[name]
            found = why_never(desired, schedule, machine)
            if found is not None:
                seen = observed.machines.get(machine.name)
                decision = Decision(
                    risk=Risk.BLOCKED,
                    action=f"schedule {name}",
                    reason=found[0],
                    cause=Origin(schedule.position),
                    unblock=found[1],
                    observed_at=seen.last_seen if seen else None,
                )
                group = desired.group_display_names.get(machine.group, "")
                yield decision.item(machine, "", group)


def _decisions(desired: CompiledFleet, view: MachineView) -> list[Decision]:
    """Return what separates one machine from its desired state: a pure function of ``view``.

    Of ``desired`` it reads the scenarios, the holds and the revision only.
    """
    machine = view.machine
    under_way = [
        status
        for status in (*view.operations, *(each.status for each in view.disputed))
        if status.state in ACTIVE or status.state is OperationState.INDETERMINATE
    ]
    if under_way:
        return [_under_way(machine, status) for status in under_way]
    if view.seen.quarantine and machine.assignments:
        reason = f"quarantined: {view.seen.quarantine}"
        unblock = f"Find out who used it, then say `rackwright clear {machine.name}`"
        return [blocked(machine.assignments[0], reason, view.seen.last_seen, unblock)]
    pending: str | None = None
    decisions: list[Decision] = []
    for assignment in machine.assignments:
        if pending:
            waits = f"waits for {pending} on this machine"
            unblock = f"Nothing to do: it follows once {pending} is done"
            decisions.append(blocked(assignment, waits, view.seen.last_seen, unblock))
            continue
        decision = _assignment_decision(desired, view, assignment)
        if decision is not None:
            decisions.append(decision)
            pending = f"{assignment.scenario} run {assignment.run}"
    return decisions


def _assignment_decision(
    desired: CompiledFleet, view: MachineView, assignment: Assignment
) -> Decision | None:
    earlier = _latest(view, assignment)
    if earlier is not None:
        if earlier.state is OperationState.VERIFIED:
            return _convergence(view, assignment, earlier)
        return blocked(
            assignment,
            f"{earlier.state}: {_sentence(earlier.reason)} To run it again, give the assignment a "
            "new run token",
            view.seen.last_seen,
            f"Give the assignment a new run token{_at(assignment.origin)}",
        )
    scenario = desired.scenarios[assignment.scenario].on(view.machine.name)
    before = _held(desired, view, assignment) or _ambiguous(view, assignment)
    if before is not None:
        return before
    if scenario.runs_in_system:
        return system_work_for(desired, view, assignment, scenario)
    return work_for(desired.revision, view, assignment, scenario)


def _ambiguous(view: MachineView, assignment: Assignment) -> Decision | None:
    """Return why the assignment waits when it may have been carried out here already."""
    for status, owners in ((each.status, each.owners) for each in view.disputed):
        operation = status.operation
        if (operation.scenario, operation.run) == (assignment.scenario, assignment.run):
            return blocked(
                assignment,
                f"RW750: operation {operation.op_id[:12]} ({status.state}) was for hardware "
                f"{operation.hardware}, and {' and '.join(owners)} share it",
                status.at,
                "Say in spec.hardware.formerly which of them continues it, or give the "
                "assignment a new run token to run it here",
            )
    return None


def hold_of(desired: CompiledFleet, view: MachineView) -> CompiledHold | None:
    """Return the hold that keeps new work from the machine longest; one that is over has none."""
    return held_by(desired, view.machine, view.now)


def held_by(desired: CompiledFleet, machine: CompiledMachine, now: datetime) -> CompiledHold | None:
    """Return the hold that keeps new work from a machine longest at a time."""
    holds = [hold for hold in desired.holds if hold.name in machine.holds and now < hold.until]
    return max(holds, key=lambda hold: (hold.until, hold.name), default=None)


def _held(desired: CompiledFleet, view: MachineView, assignment: Assignment) -> Decision | None:
    """Return the item of a hold; its cause is the hold, not the wish that it keeps waiting."""
    hold = hold_of(desired, view)
    if hold is None:
        return None
    decision = blocked(
        assignment,
        held_because(hold),
        view.seen.last_seen,
        f"Wait until then, or ask {hold.owner} to end hold {hold.name} at {hold.position}",
    )
    return replace(decision, cause=Origin(hold.position))


def held_because(hold: CompiledHold) -> str:
    """Return who holds a machine until when and why, as a clause."""
    until = hold.until.astimezone(UTC)
    return f"held by {hold.owner} until {until:%Y-%m-%d %H:%M} UTC: {hold.reason}"


def _at(origin: Origin) -> str:
    return f" at {origin.position}"


def _latest(view: MachineView, assignment: Assignment) -> OperationStatus | None:
    """Return the run that this assignment had.

    It is found by hardware, scenario and run token, not by the whole op_id: a moved
    image tag or an edited scenario must not wipe a machine; a new run token does.
    """
    ended = [
        status
        for status in view.operations
        if status.operation.scenario == assignment.scenario
        and status.operation.run == assignment.run
        and status.state in ENDED
    ]
    return ended[-1] if ended else None


def _convergence(
    view: MachineView, assignment: Assignment, done: OperationStatus
) -> Decision | None:
    """Compare what the installed system says with what was asked; None when they agree.

    None also where the machine's ``drift`` is off. Nothing is ever done about it.
    """
    machine = view.machine
    if machine.drift == "off" or not done.operation.proof or _superseded(view, done):
        return None
    heard = view.seen.installed
    if heard is None or not is_fresh(heard.at, view.now, view.max_age):
        since = f"since {heard.at:%Y-%m-%d %H:%M:%S} UTC" if heard else "at all"
        reason = f"the installed agent was not heard {since}"
        if heard is not None and is_future(heard.at, view.now):
            reason = f"the installed agent was heard {still_to_come(heard.at)}"
        return Decision(
            risk=Risk.UNKNOWN,
            action="observe",
            reason=reason,
            cause=assignment.origin,
            observed_at=heard.at if heard else None,
        )
    system = heard.installed
    if system is None:
        return None
    drift = tuple(_drifted(machine, system, done.operation.op_id))
    if not drift:
        return None
    said = "; ".join(clause for clause, _ in drift)
    decision = blocked(
        assignment,
        f"drift: {said}. A new run token installs it anew",
        heard.at,
        f"Correct the machine, or give the assignment a new run token{_at(assignment.origin)}",
    )
    return replace(decision, drift=tuple(value for _, value in drift))


def _drifted(
    machine: CompiledMachine, system: InstalledSystem, op_id: str
) -> Iterator[tuple[str, DriftedValue]]:
    """Yield what differs as a clause and as a value, given the operation that installed it."""
    if system.operation != op_id:
        by = f"operation {system.operation[:_SHORT]}" if system.operation else "somebody else"
        value = DriftedValue("installed by", f"operation {op_id[:_SHORT]}", by)
        yield "the running system was not installed by this run", value
    if system.hostname != machine.hostname:
        value = DriftedValue("host name", machine.hostname, system.hostname)
        yield f"its host name is {system.hostname}, not {machine.hostname}", value
    wanted = [str(address) for address in machine.addresses]
    missing = [address for address in wanted if address not in system.addresses]
    if missing:
        found = ", ".join(system.addresses) or "none"
        value = DriftedValue("addresses", ", ".join(wanted), found)
        yield f"it lacks the address {', '.join(missing)}", value


def _superseded(view: MachineView, done: OperationStatus) -> bool:
    """Return whether a later verified run changed the machine: it then is what must hold."""
    return any(
        status.at > done.at
        and status.state is OperationState.VERIFIED
        and status.operation.destructive
        for status in view.operations
    )


def _under_way(machine: CompiledMachine, status: OperationStatus) -> Decision:
    operation = status.operation
    if status.state is OperationState.INDETERMINATE:
        return Decision(
            risk=Risk.BLOCKED,
            action=operation.kind,
            reason=f"nobody knows how operation {operation.op_id[:12]} ended: {status.reason} "
            "Look at the machine, then say `rackwright resolve`",
            cause=None,
            observed_at=status.at,
            unblock=f"Look at the machine, then say `rackwright resolve {machine.name}`",
        )
    return Decision(
        risk=Risk.BLOCKED,
        action=operation.kind,
        reason=f"operation {operation.op_id[:12]} is under way: {status.state}",
        cause=None,
        running=operation,
        observed_at=status.last_event_at or status.at,
        unblock="Nothing to do: wait until it ends, or watch it with `rackwright status`",
    )


def next_change(
    fleet: CompiledFleet, machine: CompiledMachine, seen: ObservedMachine, now: datetime
) -> datetime | None:
    """Return the next time at which the machine's plan may be another; None if never.

    Time enters a plan by the age of reports and by the ends of holds, nowhere else.
    """
    max_age = timedelta(seconds=fleet.settings.observation_max_age_seconds)
    times = [hold.until for hold in fleet.holds if hold.name in machine.holds]
    # A report as old as it may be is too old in the next moment.
    times += [
        each.at + wait + timedelta(microseconds=1)
        for each in (seen.ramdisk, seen.installed)
        if each
        for wait in (-CLOCK_TOLERANCE, max_age)
    ]
    return min((time for time in times if time > now), default=None)


def _sentence(reason: str) -> str:
    """Return a reason with its full stop: a person's word may be a part of it."""
    return reason if reason.endswith((".", "!", "?")) or not reason else f"{reason}."
