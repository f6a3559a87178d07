"""What a schedule will not do on a machine, whatever the time. Pure."""

from reconciler.planning.machine_view import Refusal
from specs.fleet import (
    CompiledFleet,
    CompiledMachine,
    CompiledSchedule,
    RestoreStep,
    UnsupportedStep,
)


def why_never(
    desired: CompiledFleet, schedule: CompiledSchedule, machine: CompiledMachine
) -> Refusal | None:
    """Return why a schedule does nothing on a machine that it selects; None where it acts."""
    return _power(schedule, machine) if schedule.power else _scenario(desired, schedule)


def _power(schedule: CompiledSchedule, machine: CompiledMachine) -> Refusal | None:
    if schedule.power != "on":
        return None
    driver = "Set a power driver that switches machines on: wake-on-lan"
    if machine.unsupported:
        return machine.unsupported, driver
    if machine.power_driver == "manual":
        return "it is switched on by hand (power driver manual)", driver
    return None


def _scenario(desired: CompiledFleet, schedule: CompiledSchedule) -> Refusal | None:
    scenario = desired.scenarios[schedule.scenario]
    unsupported = [
        f"step {step.action}: {step.reason}"
        for step in scenario.steps
        if isinstance(step, UnsupportedStep)
    ]
    if scenario.unsupported or unsupported:
        return (
            f"{scenario.name}: {scenario.unsupported or unsupported[0]}",
            f"Change {scenario.name} ({scenario.position}), or take the schedule away",
        )
    overwrites = any(isinstance(step, RestoreStep) for step in scenario.steps)
    if overwrites and schedule.approved != "destructive":
        reason = f"{scenario.name} overwrites disks, and nobody approved that for each time"
        return (
            f"{reason} (`approved: destructive`)",
            f"Write `approved: destructive` into the spec at {schedule.position}, if it is meant",
        )
    return None
