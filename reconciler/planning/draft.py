"""Items of a plan before it is said which machine they are about."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.planning.item import DiskFacts, ImageChange, PlanItem, Risk, line_of
from reconciler.state.operation import Operation, OperationKind, operation_id
from specs.fleet import Assignment, CompiledMachine, Origin

if TYPE_CHECKING:
    from agent.wire.disk import DiskIdentity
    from agent.wire.step import Step


@dataclass(frozen=True, slots=True)
class Work:
    """An operation before it is said whose it is; the fields are those of ``Operation``."""

    kind: OperationKind
    scenario: str
    run: str
    inputs: tuple[str, ...]
    """Digests of what the work is made of."""
    revision: str
    steps: "tuple[Step, ...]"
    disks: "tuple[DiskIdentity, ...]"
    proof: bool
    timeout_seconds: int

    def id_on(self, machine: CompiledMachine) -> str:
        """Return the id of the operation on a machine."""
        disks = tuple(disk.key() for disk in self.disks) if self.disks else ()
        hardware = machine.hardware_identity
        return operation_id(hardware, self.scenario, self.inputs, disks, self.run)

    def on(self, machine: CompiledMachine) -> Operation:
        """Return the operation on a machine."""
        return Operation(
            op_id=self.id_on(machine),
            kind=self.kind,
            machine=machine.name,
            hardware=machine.hardware_identity,
            scenario=self.scenario,
            run=self.run,
            revision=self.revision,
            macs=machine.macs,
            uuid=machine.uuid,
            steps=self.steps,
            disks=self.disks,
            proof=self.proof,
            timeout_seconds=self.timeout_seconds,
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """What a ``PlanItem`` says besides the machine; the fields are the same."""

    risk: Risk
    action: str
    reason: str
    cause: Origin | None
    work: Work | None = None
    """What ``apply`` would have done."""
    running: Operation | None = None
    """What is under way already."""
    disks: tuple[DiskFacts, ...] = ()
    spared: tuple[str, ...] = ()
    images: tuple[ImageChange, ...] = ()
    observed_at: datetime | None = None
    unblock: str = ""
    seconds: int = 0

    def line(self, machine: CompiledMachine) -> str:
        """Return the ``line`` of the item about a machine, without making the item."""
        if self.work is not None:
            op_id = self.work.id_on(machine)
        else:
            op_id = "-" if self.running is None else self.running.op_id
        return line_of(machine.name, self.risk, self.action, op_id)

    def item(
        self, machine: CompiledMachine, formerly: str = "", group_display_name: str = ""
    ) -> PlanItem:
        """Return the item about a machine, whose hardware may have had another name."""
        return PlanItem(
            machine=machine.name,
            group=machine.group,
            risk=self.risk,
            action=self.action,
            reason=self.reason,
            cause=self.cause,
            operation=self.running if self.work is None else self.work.on(machine),
            running=self.running is not None,
            disks=self.disks,
            spared=self.spared,
            images=self.images,
            observed_at=self.observed_at,
            unblock=self.unblock,
            seconds=self.seconds,
            formerly=formerly,
            display_name=machine.display_name,
            group_display_name=group_display_name,
        )


class Wishes:
    """Drafts for machines of which nothing was observed and nothing is recorded.

    Where the same is wanted of them, the same is to be done: it is decided once for all.
    """

    def __init__(self, decide: Callable[[CompiledMachine], list[Draft]]) -> None:
        self._decide = decide
        self._known: dict[tuple[object, ...], tuple[Iterable[Assignment], list[Draft]]] = {}

    def drafts(self, machine: CompiledMachine) -> list[Draft]:
        """Return what ``decide`` says of a machine, or said of one like it."""
        if machine.protect:
            return self._decide(machine)  # it names the place, which may be the machine's own
        wanted = tuple(map(id, machine.assignments))
        key = (wanted, machine.holds, machine.unsupported, machine.protect)
        known = self._known.get(key)
        if known is None:
            # Kept with the assignments, lest others come to have their ids.
            known = self._known[key] = machine.assignments, self._decide(machine)
        return known[1]
