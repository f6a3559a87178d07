"""Which function does which step."""

from collections.abc import Callable

from agent.errors import TerminalError
from agent.steps import apply_identity, backup, inspect_disks, restore
from agent.steps.context import StepContext
from agent.wire.step import ApplyIdentity, Backup, InspectDisks, Restore, Step

StepRunner = Callable[[Step, StepContext], dict[str, str]]
"""Does one step and returns what it found, as ``run_step``."""


def run_step(step: Step, context: StepContext) -> dict[str, str]:
    """Do one step and return what it found; raises CodedError where it fails.

    ``finish`` is not run here: it happens after the server knows that all is done.
    """
    if isinstance(step, InspectDisks):
        return inspect_disks.run(step, context)
    if isinstance(step, Backup):
        return backup.run(step, context)
    if isinstance(step, Restore):
        return restore.run(step, context)
    if isinstance(step, ApplyIdentity):
        return apply_identity.run(step, context)
    raise TerminalError(
        "RW570",
        f"the step {step.STEP_TYPE} is not one that can be run",
        "Report this: the server planned an impossible operation",
    )
