"""What a step may use besides its own fields."""

from collections.abc import Callable

from attrs import frozen

from agent.errors import TerminalError
from agent.machine import Machine
from agent.steps.chunk_store import ChunkStore


@frozen
class StepContext:
    """What one running step works with.

    ``progress(done, total)`` takes bytes, may be called from any thread as often as it
    likes, and raises (FencedError above all) when the step has to stop at once.
    ``report`` sends a fresh observation of the machine.
    """

    environment: str
    machine_name: str
    operation: str
    machine: Machine
    chunks: ChunkStore
    progress: Callable[[int, int], None]
    report: Callable[[], None]

    def require_ram_system(self, step: str) -> None:
        """Raise TerminalError RW571 in an installed system, whose disks are in use."""
        if self.environment != "deploy-os":
            raise TerminalError(
                "RW571",
                f"the step {step} runs in the Deploy-OS only, and this agent is {self.environment}",
                "Report this: the server gave the operation to the wrong agent",
            )
