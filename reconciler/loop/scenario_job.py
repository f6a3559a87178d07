"""Jobs of schedules that run a scenario: the work joins the machine's queue."""

from datetime import datetime
from functools import partial

from reconciler.loop.approval import approve
from reconciler.loop.job import LATER, Job, Over, Wait
from reconciler.loop.reconcile import SERVER, Reconciler
from reconciler.planning.by_hand import MOST_WAITING, plan_by_hand
from reconciler.planning.item import PlanItem
from reconciler.planning.plan import Plan
from reconciler.planning.schedules import shown_moment
from reconciler.state.observed import Observed
from reconciler.state.operation import OperationStatus, scheduled_token
from reconciler.state.operation_states import ACTIVE, OperationState
from reconciler.state.runs import scheduled_run
from reconciler.state.schedule_history import MachinePart, ScheduleHistory, record_machine
from specs.fleet import CompiledMachine, CompiledSchedule

_IN_VAIN = {OperationState.FAILED, OperationState.CANCELLED, OperationState.INDETERMINATE}


class ScenarioJobs:
    """Plans and approves what schedules run, as a person would by hand."""

    def __init__(self, reconciler: Reconciler, history: ScheduleHistory) -> None:
        self._reconciler = reconciler
        self._history = history

    def take(
        self, schedule: CompiledSchedule, machine: CompiledMachine, job: Job, now: datetime
    ) -> Wait | Over:
        """Bring the machine's part as far as it goes now."""
        token = scheduled_token(schedule.name, job.moment)
        observed = self._reconciler.observed(machine)
        mine = [each for each in observed.operations if each.operation.run == token]
        if mine and mine[-1].state is not OperationState.PLANNED:
            return self._approved(mine[-1], job, now)
        over = self._given_up(mine, observed, job, now)
        if over is not None:
            return over
        if sum(each.state in ACTIVE for each in observed.operations) >= MOST_WAITING:
            return Wait(f"{MOST_WAITING} operations are under way there", now + LATER)
        fleet, hardware = self._reconciler.fleet, self._reconciler.hardware
        scenario = fleet.scenarios[schedule.scenario]
        made = plan_by_hand(fleet, [machine], scenario, token, hardware, observed, now)
        for item in made.items:
            return self._begin(schedule, machine, made, item, job, now)
        return Over("done", "nothing is to be done there")

    def _approved(self, status: OperationStatus, job: Job, now: datetime) -> Wait | Over:
        """Return what follows for approved work: by the end of its window it has begun."""
        op_id = status.operation.op_id
        if status.state is not OperationState.APPROVED:
            return Over("done", "", op_id)
        if now < job.closes:
            return Wait("", job.closes)
        reason = "RW621: it did not begin within the window of its schedule"
        self._reconciler.ledger.move(
            op_id,
            OperationState.APPROVED,
            OperationState.CANCELLED,
            attempt=status.attempt,
            at=now,
            actor=SERVER,
            reason=f"{reason}. Nothing was begun.",
        )
        self._reconciler.follow_ledger()
        return Over("left-out", reason, op_id)

    def _given_up(
        self, lapsed: list[OperationStatus], observed: Observed, job: Job, now: datetime
    ) -> Over | None:
        """Return why nothing begins any more; None where it still may."""
        part = self._history.machine(job.schedule, job.moment, job.machine)
        op_id = part.op_id if part else ""
        if part and part.state == "begun" and not lapsed:
            return Over("done", "", op_id)  # it ended, and a later time of the schedule did too
        looks = [each for each in observed.operations if each.operation.op_id == op_id]
        if looks and looks[-1].state in _IN_VAIN:
            why = f"the look at its disks that came first {looks[-1].state}: {looks[-1].reason}"
            return Over("left-out", why, op_id)
        if now < job.closes:
            return None
        if lapsed:
            return Over("left-out", lapsed[-1].reason, lapsed[-1].operation.op_id)
        why = part.reason if part else "the server did not come to it"
        return Over("left-out", f"its window was over: {why}", op_id)

    def _begin(  # noqa: PLR0913, PLR0917 - what is begun, where, and for what
        self,
        schedule: CompiledSchedule,
        machine: CompiledMachine,
        made: Plan,
        item: PlanItem,
        job: Job,
        now: datetime,
    ) -> Wait:
        """Approve the machine's work, and write down with it that this was done."""
        operation = item.operation
        if operation is None or item.running:
            return Wait(item.reason, now + LATER)
        if self._reconciler.needs_persons(item.risk):
            return Wait(f"{item.risk} work is approved by persons, by spec.approvals", now + LATER)
        is_look = operation.schedule == ""  # at the disks, which has to come first
        part = MachinePart.of(
            machine,
            "waiting" if is_look else "begun",
            item.reason if is_look else "",
            operation.op_id,
            now,
        )
        approve(
            self._reconciler.ledger,
            made,
            [item],
            f"schedule {schedule.name}",
            now,
            kind="schedule",
            reason=shown_moment(schedule, job.moment),
            run_id=scheduled_run(schedule.name, job.moment),
            alongside=partial(record_machine, schedule=job.schedule, moment=job.moment, part=part),
        )
        self._reconciler.follow_ledger()
        return Wait(item.reason, now + LATER) if is_look else Wait("", job.closes)
