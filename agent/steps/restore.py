"""The step ``restore``: an image becomes the content of a disk."""

from collections.abc import Mapping

from attrs import asdict

from agent.errors import TerminalError
from agent.steps.context import StepContext
from agent.steps.disk_choice import describe, find_disk
from agent.wire.step import Restore


def run(step: Restore, context: StepContext) -> dict[str, str]:
    """Write the image to exactly the disk that the step names. Destructive.

    The manifest is checked against the digest that was approved before the disk is
    opened. Returns what the restore counted, and ``disk``. TerminalError RW451 or RW452
    where there is no such disk or more than one, RW457 for another manifest; and what
    the restore and the server raise.
    """
    context.require_ram_system(step.STEP_TYPE)
    # Compiled code that only the RAM system has.
    from agent.imaging import manifest as manifests  # noqa: PLC0415
    from agent.imaging.restore import restore  # noqa: PLC0415

    disk = find_disk(step.disk, context.machine.disks().disks)
    encoded = context.chunks.get_manifest(step.manifest)
    digest = manifests.digest(encoded)
    if digest != step.manifest:
        raise TerminalError(
            "RW457",
            f"the server sent the manifest {digest} where {step.manifest} was asked for",
            "Verify the image on the server",
        )
    result = restore(manifests.decode(encoded), disk, context.chunks, context.progress)
    return {"disk": describe(disk), "manifest": digest, **counts(asdict(result))}


def counts(values: Mapping[str, object]) -> dict[str, str]:
    """Return what a restore counted in the words of events: ``chunks-written`` and so on."""
    return {name.replace("_", "-"): str(value).lower() for name, value in values.items()}
