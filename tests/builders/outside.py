"""The world outside the reconcile loop: what the loop asks of it is written down."""

from reconciler.state.observed import Capture, ObservedImage
from reconciler.state.operation import OperationStatus
from specs.fleet import CompiledMachine


class FakeOutside:
    """Stands for power, restore tests and waiting agents: ``reconciler.loop.reconcile.Effects``."""

    def __init__(self, *images: ObservedImage) -> None:
        self._images = {image.name: image for image in images}
        self.woken: list[tuple[str, str]] = []
        """Machine and operation of each wake-up."""
        self.started: list[str] = []
        """Machines that schedules had started."""
        self.told: list[str] = []
        """Machines whose agents were told that there is work."""
        self.to_verify: list[Capture] = []
        self.asked_times = 0
        self.observe_only = False
        self.store_away = ""
        self.reasons: list[str] = []
        """Why the fleet became observe-only."""

    def wake(self, machine: CompiledMachine, status: OperationStatus) -> None:
        """Note a wake-up."""
        self.woken.append((machine.name, status.operation.op_id))

    def start(self, machine: CompiledMachine) -> None:
        """Note that a schedule had a machine started."""
        self.started.append(machine.name)

    def verify(self, capture: Capture) -> None:
        """Note a restore test."""
        self.to_verify.append(capture)

    def armed(self, machine: str) -> None:
        """Note that an agent was told."""
        self.told.append(machine)

    def asked(self) -> None:
        """Count."""
        self.asked_times += 1

    def images(self) -> dict[str, ObservedImage]:
        """Return the images that there are."""
        return self._images

    def images_away(self, *, to_write: bool = False) -> str:
        """Return what the test says of the image store, for reading and writing alike."""
        del to_write
        return self.store_away

    def observes_only(self) -> bool:
        """Return what the test says of the ledger."""
        return self.observe_only

    def may_act(self) -> bool:
        """Return what the test says of the ledger."""
        return not self.observe_only

    def enter_observe_only(self, code: str, cause: str) -> None:
        """Note it."""
        self.observe_only = True
        self.reasons.append(f"{code} {cause}")
