"""The step ``backup``: a disk becomes an image on the server."""

from agent.errors import TerminalError
from agent.steps.context import StepContext
from agent.steps.disk_choice import describe, select_disk
from agent.wire.step import Backup


def run(step: Backup, context: StepContext) -> dict[str, str]:
    """Read the disk that the selector means; writes nothing to it.

    Returns ``manifest`` (the image's digest) and ``disk``. Raises what the choice of
    the disk, the capture and the server raise.
    """
    context.require_ram_system(step.STEP_TYPE)
    # Compiled code that only the RAM system has.
    from agent.imaging import manifest as manifests  # noqa: PLC0415
    from agent.imaging.capture import capture  # noqa: PLC0415

    disk = select_disk(step.disk, context.machine.disks().disks)
    encoded = manifests.encode(capture(disk, context.chunks, context.progress))
    digest = manifests.digest(encoded)
    stored = context.chunks.put_manifest(context.operation, encoded)
    if stored != digest:
        raise TerminalError(
            "RW456",
            f"the server stored the manifest as {stored}, but its digest is {digest}",
            "Run the backup again; if it recurs, check the server's memory and disk",
        )
    return {"manifest": digest, "disk": describe(disk)}
