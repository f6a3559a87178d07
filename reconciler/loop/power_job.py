"""Jobs of schedules that are about power.

Machines are started by their power driver; installed systems are asked through their agents to
shut down or to restart. Both wait for work that is under way on the machine.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from reconciler.loop.job import LATER, Job, Over, Wait
from reconciler.loop.power_requests import (
    PowerRequest,
    PowerRequests,
    SystemAction,
    request_name,
)
from reconciler.loop.reconcile import Reconciler
from reconciler.planning.planner import held_because, held_by
from reconciler.planning.windows import closed, windows_of
from reconciler.state.observed import ObservedMachine
from reconciler.state.schedule_history import MachinePart, ScheduleHistory
from specs.fleet import CompiledMachine, CompiledSchedule

SYSTEM_ACTIONS: dict[str, SystemAction] = {"off": "poweroff", "reboot": "reboot"}
"""By what a schedule says of power, what agents of installed systems are asked to do."""
_VERBS: dict[SystemAction, str] = {"poweroff": "shut down", "reboot": "restart"}


def asked(action: SystemAction) -> str:
    """Return what became of a machine whose agent began, as a clause."""
    return f"its system was asked to {_VERBS[action]}"


class PowerEffects(Protocol):
    """What is asked of the world; each returns at once."""

    def start(self, machine: CompiledMachine) -> None:
        """Ask a machine to start. CodedError where that is not possible."""

    def armed(self, machine: str) -> None:
        """Tell the agent that waits for work on this machine."""


class PowerJobs:
    """Switches machines as schedules say."""

    def __init__(
        self,
        reconciler: Reconciler,
        history: ScheduleHistory,
        requests: PowerRequests,
        effects: PowerEffects,
        clock: Callable[[], datetime],
    ) -> None:
        self._reconciler = reconciler
        self._history = history
        self._requests = requests
        self._effects = effects
        self._clock = clock

    def take(
        self, schedule: CompiledSchedule, machine: CompiledMachine, job: Job, now: datetime
    ) -> Wait | Over:
        """Bring the machine's part as far as it goes now."""
        part = self._history.machine(job.schedule, job.moment, machine.name)
        if part is not None and part.state in {"done", "left-out"}:
            return Over(part.state, part.reason)
        seen = self._reconciler.machines.seen(machine, self._reconciler.hardware, now)
        why = self._why_not_now(schedule, machine, seen, now)
        if why or now >= job.closes:
            self._requests.take_back(machine.name)
            why = why or (part.reason if part else "the server did not come to it")
            if now < job.closes:
                return Wait(why, now + LATER)
            return Over("left-out", f"its window was over: {why}")
        if schedule.power == "on":
            return self._start(machine, seen, job, now)
        self._ask_system(schedule, machine, job)
        return Wait("waits for the agent of its installed system to ask", now + LATER)

    def _start(
        self, machine: CompiledMachine, seen: ObservedMachine, job: Job, now: datetime
    ) -> Wait | Over:
        # What was heard just before proves nothing: the machine may have been switched off then.
        signs = (seen.boot_request, seen.ramdisk_contact, seen.installed_contact)
        newest = max((each for each in signs if each is not None), default=None)
        if newest is not None and newest > job.begins:
            return Over("done", "it runs")
        self._effects.start(machine)
        return Wait("asked to start; no sign of it since", now + LATER)

    def _ask_system(self, schedule: CompiledSchedule, machine: CompiledMachine, job: Job) -> None:
        """Have the machine's agent asked; written down is it when the agent begins."""
        action = SYSTEM_ACTIONS[schedule.power]

        def begin() -> bool:
            at = self._clock()
            seen = self._reconciler.machines.seen(machine, self._reconciler.hardware, at)
            if at >= job.closes or self._why_not_now(schedule, machine, seen, at):
                return False
            reason = asked(action)
            part = MachinePart.of(machine, "done", reason, "", at)
            self._history.record(job.schedule, job.moment, part)
            return True

        name = request_name(schedule.name, job.moment)
        self._requests.put(machine.name, PowerRequest(name, action, begin, job.closes))
        self._effects.armed(machine.name)

    def _why_not_now(
        self,
        schedule: CompiledSchedule,
        machine: CompiledMachine,
        seen: ObservedMachine,
        now: datetime,
    ) -> str:
        """Return why nothing is done about power now, as a clause; empty where it may be."""
        for status in self._reconciler.work_of(machine.name):
            operation = status.operation
            return f"operation {operation.op_id[:12]} ({operation.scenario}) is under way there"
        hold = held_by(self._reconciler.fleet, machine, now)
        if hold is not None:
            return held_because(hold)
        if seen.quarantine:
            return f"quarantined: {seen.quarantine}"
        if schedule.power == "on":
            return ""
        shut = closed(windows_of(self._reconciler.fleet, machine), now, timedelta())
        return shut.reason if shut else ""
