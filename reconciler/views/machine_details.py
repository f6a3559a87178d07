"""What is shown of one machine, as text, JSON and a picture."""

from typing import TYPE_CHECKING, NamedTuple

from reconciler.planning.conditions import MachineCondition
from reconciler.state.observed import ObservedMachine, Quarantine, TimedReport

if TYPE_CHECKING:
    from reconciler.state.boots import BootEvent
    from reconciler.state.machine_history import PastOperation


class MachineDetails(NamedTuple):
    """One machine: what Git says, what was heard, what was done."""

    name: str
    revision: str
    wanted: tuple[tuple[str, str], ...]
    """Every effective value by its field; ``rackwright explain`` says where each is written."""
    condition: MachineCondition
    seen: ObservedMachine
    quarantine: Quarantine | None
    boots: "tuple[BootEvent, ...]"
    """The newest first, those that are kept."""
    operations: "tuple[PastOperation, ...]"
    """The newest first, those that are kept."""

    @property
    def newest_report(self) -> TimedReport | None:
        """Return the report that says what hardware and disks there are now."""
        return self.seen.disks
