"""Machines whose disks may not be written, and work that would write to them."""

from collections.abc import Iterable

from agent.wire.step import Backup, Step
from reconciler.planning.machine_view import MachineView, Refusal
from specs.fleet import PROTECT, BackupStep, CompiledScenario, RestoreStep, ScenarioStep

WAS_PROTECTED = "the machine was protected at"
"""So begins the reason of work that an earlier revision keeps from a machine."""


def protected(view: MachineView, scenario: CompiledScenario) -> Refusal | None:
    """Return why the machine's disks may not be written; None where they may."""
    restores = any(isinstance(step, RestoreStep) for step in scenario.steps)
    would = (
        f"{scenario.name} would {'overwrite' if restores else 'repair file systems on'} its disk"
    )
    may = "overwritten" if restores else "written"
    if view.machine.protect:
        origin = view.machine.origins.get(PROTECT)
        where = f" at {origin.position}" if origin else ""
        return (
            f"the machine is protected, and {would}",
            f"Write `protect: false`{where} instead, if the machine may be {may}",
        )
    if view.machine.protect is None and view.seen.protected_at:
        reason = f"{WAS_PROTECTED} {view.seen.protected_at}, which nothing takes back"
        return (
            f"{reason}, and {would}",
            f"Write `protect: false` for the machine, if it may be {may}",
        )
    return None


def repairs(steps: Iterable[ScenarioStep | Step]) -> bool:
    """Return whether steps write to a disk to repair what a backup then reads."""
    return any(isinstance(step, BackupStep | Backup) and step.repair for step in steps)
