"""The step ``inspectDisks``: the report is its result."""

from agent.steps.context import StepContext
from agent.wire.step import InspectDisks


def run(_step: InspectDisks, context: StepContext) -> dict[str, str]:
    """Send a fresh report with all disks; changes nothing."""
    context.report()
    return {"disks": str(len(context.machine.disks().disks))}
