"""What is decided on a machine, before it is said which one: the same for many."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.planning.item import Finding, PlanItem, Risk
from reconciler.state.operation import (
    Instructions,
    Operation,
    OperationKind,
    identities_of,
    operation_id,
)
from specs.fleet import Assignment, CompiledMachine

if TYPE_CHECKING:
    from agent.wire.disk import DiskIdentity
    from agent.wire.step import Step
    from agent.wire.work import OnError, TimeLimit


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
    limits: "tuple[TimeLimit, ...]"
    on_error: "OnError"

    def on(self, machine: CompiledMachine) -> Operation:
        """Return the operation on a machine."""
        disks = tuple(disk.key() for disk in self.disks)
        hardware = machine.hardware_identity
        return Operation(
            op_id=operation_id(hardware, self.scenario, self.inputs, disks, self.run),
            kind=self.kind,
            machine=machine.name,
            hardware=hardware,
            identities=identities_of(hardware, machine.macs, machine.uuid),
            scenario=self.scenario,
            run=self.run,
            revision=self.revision,
            destructive=bool(disks),
            proof=self.proof,
            body=Instructions(
                machine.macs,
                machine.uuid,
                self.steps,
                self.disks,
                self.timeout_seconds,
                self.limits,
                self.on_error,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Finding):
    """What is found of a machine, and the work that follows."""

    work: Work | None = None
    """What ``apply`` would have done."""
    running: Operation | None = None
    """What is under way already."""

    def item(self, machine: CompiledMachine, formerly: str, group_display_name: str) -> PlanItem:
        """Return the item about a machine, whose hardware may have had another name."""
        return PlanItem(
            machine=machine.name,
            group=machine.group,
            operation=self.running if self.work is None else self.work.on(machine),
            running=self.running is not None,
            formerly=formerly,
            display_name=machine.display_name,
            group_display_name=group_display_name,
            risk=self.risk,
            action=self.action,
            reason=self.reason,
            general_reason=self.general_reason,
            cause=self.cause,
            disks=self.disks,
            spared=self.spared,
            images=self.images,
            observed_at=self.observed_at,
            unblock=self.unblock,
            seconds=self.seconds,
            trigger=self.trigger,
            drift=self.drift,
            by_itself=self.by_itself,
            warnings=self.warnings,
        )


def blocked(
    assignment: Assignment, reason: str, observed_at: datetime | None, unblock: str
) -> Decision:
    """Return that an assignment waits for something, and what a person can do about it."""
    return Decision(
        risk=Risk.BLOCKED,
        action=assignment.scenario,
        reason=reason,
        cause=assignment.origin,
        observed_at=observed_at,
        unblock=unblock,
    )
