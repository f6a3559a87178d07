"""Carrying out schedules: when each is looked at again, and one machine after the other.

``step`` does a small piece and returns: it opens what came due of one schedule, or does the job
of one machine. What was found due is written down before anything of it begins; a machine's
work is approved in the transaction that writes that down. Whatever is killed when, the
next start goes on with what was open and runs nothing twice.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import islice

import structlog

from agent.errors import CodedError, one_line
from reconciler.errors import OvertakenError
from reconciler.loop.job import LATER, Job, JobKey, Over, Wait
from reconciler.loop.power_job import PowerEffects, PowerJobs
from reconciler.loop.power_requests import PowerRequests
from reconciler.loop.reconcile import Reconciler
from reconciler.loop.scenario_job import ScenarioJobs
from reconciler.planning.scheduled_work import why_never
from reconciler.planning.schedules import (
    Occurrence,
    delay_of,
    due,
    first_moment,
    is_too_late,
    rhythm,
    shown_moment,
    upcoming,
)
from reconciler.state.database import Database
from reconciler.state.operation import Operation, scheduled_token
from reconciler.state.operation_states import OperationState
from reconciler.state.runs import scheduled_run
from reconciler.state.schedule_history import (
    Handled,
    MachinePart,
    MachineState,
    PastOccurrence,
    ScheduleHistory,
)
from specs.fleet import CompiledFleet, CompiledMachine, CompiledSchedule

_AT_ONCE = 500
"""Jobs that are queued in one step: a few milliseconds."""
_SLEW = timedelta(minutes=1)
"""A clock that goes back by more was put back."""

log = structlog.get_logger(__name__)


class Schedules:
    """Carries out the schedules of the reconciler's fleet; all calls come from one thread."""

    def __init__(
        self,
        database: Database,
        reconciler: Reconciler,
        requests: PowerRequests,
        effects: PowerEffects,
        clock: Callable[[], datetime],
    ) -> None:
        self._reconciler = reconciler
        self._requests = requests
        self._clock = clock
        self._history = ScheduleHistory(database)
        self._scenarios = ScenarioJobs(reconciler, self._history)
        self._power = PowerJobs(reconciler, self._history, requests, effects, clock)
        self._fleet: CompiledFleet | None = None
        self._looked_at = clock()
        self._handled: dict[str, datetime] = {}
        self._next: dict[str, datetime] = {}
        """By schedule, its next moment; those that have none are left out."""
        self._jobs: list[Job] = []
        """A heap; jobs in it that ``_pending`` does not have any more count for nothing."""
        self._pending: dict[JobKey, Job] = {}
        self._opening: deque[tuple[PastOccurrence, Iterator[Job]]] = deque()
        """Occurrences whose jobs are being queued."""
        self._left: dict[tuple[str, datetime], int] = {}
        """By open occurrence, how many jobs are not over."""
        self._told: dict[JobKey, str] = {}
        """Why machines wait, as it was written down."""

    def step(self) -> bool:
        """Do a small piece of what is due; False where nothing is.

        StateError where the state cannot be read or written. Whatever goes wrong, the next step
        begins again with what is written down.
        """
        try:
            return self._step()
        except Exception:
            self._fleet = None
            raise

    def _step(self) -> bool:
        now, fleet = self._clock(), self._reconciler.fleet
        if fleet is not self._fleet or now < self._looked_at - _SLEW:
            self._use(fleet, now)
        self._looked_at = now
        name = min(self._next, key=self._next.__getitem__, default=None)
        if name is not None and self._next[name] <= now:
            self._open(fleet.schedules[name], now)
            return True
        if self._opening:
            self._queue_some()
            return True
        if self._reconciler.lapsed:
            self._look_again(self._reconciler.lapsed.popleft(), now)
            return True
        if self._jobs and self._jobs[0].due <= now:
            job = self._jobs[0]
            if self._pending.get(job.key) == job:
                self._work_on(fleet, job, now)
            else:
                heappop(self._jobs)
            return True
        return False

    # --- what comes due ----------------------------------------------------------

    def _use(self, fleet: CompiledFleet, now: datetime) -> None:
        """Go on with a fleet, or after the clock was put back: from what is written down."""
        known = self._history.handled()
        gone = known.keys() - fleet.schedules.keys()
        if gone:
            self._history.forget(gone)
        self._fleet = None  # until all of this is done
        self._handled.clear()
        self._next.clear()
        self._jobs.clear()
        self._pending.clear()
        self._opening.clear()
        self._left.clear()
        self._told.clear()
        self._requests.clear()
        for schedule in fleet.schedules.values():
            self._begin_with(schedule, known.get(schedule.name), now)
        for occurrence in self._history.open():
            schedule_or_none = fleet.schedules.get(occurrence.schedule)
            if schedule_or_none is None:
                self._history.end(
                    occurrence.schedule, occurrence.moment, "the schedule is not there any more"
                )
            else:
                self._queue(fleet, schedule_or_none, occurrence)
        self._fleet = fleet

    def _begin_with(self, schedule: CompiledSchedule, known: Handled | None, now: datetime) -> None:
        if known is not None and known.rhythm == rhythm(schedule):
            until = min(known.until, now)
        else:
            until = first_moment(schedule, now)
            handled = Handled(schedule.name, rhythm(schedule), until)
            late = schedule.at is not None and is_too_late(schedule, schedule.at, now)
            why = "its window was over when the server first saw the schedule"
            found = [Occurrence(schedule.at, why)] if late and schedule.at else []
            self._history.handle(handled, [_past(schedule, each, now) for each in found])
        self._handled[schedule.name] = until
        self._look_ahead(schedule, until)

    def _look_ahead(self, schedule: CompiledSchedule, after: datetime) -> None:
        self._next.pop(schedule.name, None)
        for each in upcoming(schedule, after, 1):
            self._next[schedule.name] = each.moment

    def _open(self, schedule: CompiledSchedule, now: datetime) -> None:
        """Write down what came due of a schedule, and queue its machines."""
        found = due(schedule, self._handled[schedule.name], now)
        handled = Handled(schedule.name, rhythm(schedule), now)
        new = self._history.handle(handled, [_past(schedule, each, now) for each in found])
        self._handled[schedule.name] = now
        self._look_ahead(schedule, now)
        for occurrence in new:
            log.info(
                "schedule due",
                schedule=schedule.name,
                moment=shown_moment(schedule, occurrence.moment),
                left_out=occurrence.reason,
            )
            if occurrence.state == "open":
                self._queue(self._reconciler.fleet, schedule, occurrence)

    def _queue(
        self, fleet: CompiledFleet, schedule: CompiledSchedule, occurrence: PastOccurrence
    ) -> None:
        self._left[schedule.name, occurrence.moment] = 0
        self._opening.append((occurrence, self._jobs_of(fleet, schedule, occurrence)))

    def _jobs_of(
        self, fleet: CompiledFleet, schedule: CompiledSchedule, occurrence: PastOccurrence
    ) -> Iterator[Job]:
        """Yield what is to be done yet on each machine that the schedule selects.

        A machine that was renamed since has done what its hardware did under its earlier name.
        """
        known = self._history.follow_names(occurrence, self._name_now)
        lapsed = self._lapsed_work() if known else frozenset()
        window = timedelta(seconds=schedule.window_seconds)
        place = 0
        for name, machine in fleet.machines.items():
            if schedule.name not in machine.schedules:
                continue
            begins = occurrence.begins_at + delay_of(schedule, name, place)
            place += 1
            part = known.get(name)
            if part is None or part.state not in {"done", "left-out"}:
                closes = begins + window
                is_begun = part is not None and part.state == "begun" and part.op_id not in lapsed
                first = closes if is_begun else begins
                yield Job(first, schedule.name, occurrence.moment, name, begins, closes)

    def _name_now(self, part: MachinePart) -> str:
        """Return what a part's machine is called now; its hardware where another has its name."""
        if not part.identities:
            return part.machine
        identities = tuple(part.identities.split(" "))
        owners = self._reconciler.hardware.owners(identities)
        if not owners:
            is_taken = part.machine in self._reconciler.fleet.machines
            return identities[0] if is_taken else part.machine
        return part.machine if part.machine in owners else owners[0]

    def _queue_some(self) -> None:
        """Queue some of the jobs of an occurrence; what has none is over."""
        occurrence, jobs = self._opening[0]
        key = occurrence.schedule, occurrence.moment
        some = list(islice(jobs, _AT_ONCE))
        for job in some:
            self._push(job)
        self._left[key] += len(some)
        if len(some) < _AT_ONCE:
            if not self._left[key]:
                self._history.end(*key)
                del self._left[key]
            self._opening.popleft()

    # --- one machine -------------------------------------------------------------

    def _work_on(self, fleet: CompiledFleet, job: Job, now: datetime) -> None:
        """Bring one machine's job on; it comes again where the machine has to wait.

        It stays the first one until what became of it is written down.
        """
        schedule, machine = fleet.schedules[job.schedule], fleet.machines[job.machine]
        try:
            found = self._taken(fleet, schedule, machine, job, now)
        except OvertakenError:
            self._reconciler.follow_ledger()
            found = Wait("its operation was moved just now", now + LATER)
        except CodedError as error:
            found = Wait(f"{error.code}: {error.cause}", now + LATER)
        except Exception as error:  # contained: every other machine goes on
            log.exception("job failed", schedule=job.schedule, machine=job.machine)
            found = Wait(f"RW620: {one_line(error)}", now + LATER)
        if isinstance(found, Wait) and now >= job.closes:
            found = Over("left-out", found.reason)
        if isinstance(found, Over):
            self._record(job, found.state, found.reason, found.op_id, now)
            heappop(self._jobs)
            self._end_job(job)
            return
        if found.reason and self._told.get(job.key) != found.reason:
            self._record(job, "waiting", found.reason, "", now)
            self._told[job.key] = found.reason
        again = job.closes if now < job.closes <= found.until else found.until
        heappop(self._jobs)
        self._push(job._replace(due=again))

    def _push(self, job: Job) -> None:
        self._pending[job.key] = job
        heappush(self._jobs, job)

    def _look_again(self, operation: Operation, now: datetime) -> None:
        """See to it that a machine is looked at whose approved work is not wanted as it was."""
        for occurrence in self._left:
            job = self._pending.get((*occurrence, operation.machine))
            if job is None or scheduled_token(*occurrence) != operation.run:
                continue
            part = self._history.machine(job.schedule, job.moment, job.machine)
            due_at = now if part is None else max(now, part.at + LATER)
            if due_at < job.due:
                self._push(job._replace(due=due_at))

    def _lapsed_work(self) -> frozenset[str]:
        """Return the operations that were approved once, and are not any more."""
        found = self._reconciler.operations.current([OperationState.PLANNED])
        return frozenset(each.operation.op_id for each in found if each.operation.schedule)

    def _taken(
        self,
        fleet: CompiledFleet,
        schedule: CompiledSchedule,
        machine: CompiledMachine,
        job: Job,
        now: datetime,
    ) -> Wait | Over:
        never = why_never(fleet, schedule, machine)
        if never is not None:
            return Over("left-out", never[0])
        jobs = self._power if schedule.power else self._scenarios
        return jobs.take(schedule, machine, job, now)

    def _record(
        self, job: Job, state: MachineState, reason: str, op_id: str, now: datetime
    ) -> None:
        machine = self._reconciler.fleet.machines[job.machine]
        part = MachinePart.of(machine, state, reason, op_id, now)
        self._history.record(job.schedule, job.moment, part)

    def _end_job(self, job: Job) -> None:
        self._told.pop(job.key, None)
        self._pending.pop(job.key, None)
        self._left[job.occurrence] -= 1
        if not self._left[job.occurrence]:
            del self._left[job.occurrence]
            self._history.end(job.schedule, job.moment)


def _past(schedule: CompiledSchedule, each: Occurrence, now: datetime) -> PastOccurrence:
    """Return what is written down of an occurrence that is due now."""
    late = is_too_late(schedule, each.moment, now)
    return PastOccurrence(
        schedule=schedule.name,
        moment=each.moment,
        state="left-out" if each.left_out else "open",
        begins_at=now if late else each.moment,
        reason=each.left_out,
        run_id=scheduled_run(schedule.name, each.moment),
    )
