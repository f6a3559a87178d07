"""The step ``applyIdentity``: the restored system becomes this machine's."""

import uuid

from agent.config import AgentConfig
from agent.identity.linux.apply import NewIdentity, apply_identity
from agent.identity.machine_identity import checked_identity
from agent.steps.context import StepContext
from agent.steps.disk_choice import describe, find_disk
from agent.wire.step import ApplyIdentity


def run(step: ApplyIdentity, context: StepContext) -> dict[str, str]:
    """Change the system on the step's disk and install the agent in it.

    Raises what the choice of the disk and ``apply_identity`` raise; a wrong value in the
    step (TerminalError RW467) is found before the disk is touched.
    """
    context.require_ram_system(step.STEP_TYPE)
    identity = checked_identity(step)
    disk = find_disk(step.disk, context.machine.disks().disks)
    config = AgentConfig(
        server=step.server.rstrip("/"),
        pin=step.pin,
        token=step.agent_token,
        operation=step.operation,
        machine=context.machine_name,
    )
    new = NewIdentity(identity, uuid.uuid4().hex, config)
    result = apply_identity(context.machine.paths.sysfs, disk, new, context.progress)
    return {"disk": describe(disk), "hostname": identity.hostname, **result}
