"""A person takes the ledger as it is: ``rackwright ledger accept``."""

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from reconciler.app.cancel import require_reason
from reconciler.state.ledger import Ledger
from reconciler.state.ledger_lines import LedgerLines
from reconciler.state.operation_states import ACTIVE, NOT_BEGUN, OperationState
from reconciler.state.witness import ObserveOnly, Witnesses

if TYPE_CHECKING:
    from reconciler.app.project import Project


class AcceptedLedger(NamedTuple):
    """What accepting the ledger did."""

    because: ObserveOnly
    """Why the fleet was observe-only."""
    line: int
    """The newest line, which is true from now on."""
    taken_back: int
    """Approvals that lapsed."""
    unknown: int
    """Operations that had started, and of which nobody knows how they ended."""


def accept_ledger(
    project: "Project", actor: str, reason: str, now: datetime
) -> AcceptedLedger | None:
    """Take the ledger as it is; None where the fleet is not observe-only.

    What it has as approved or armed loses its approval, and what it has as started becomes
    indeterminate: of an older copy nothing is begun again by itself. The line that says so
    also tells this ledger from the one that was lost, should that come back.

    ReconcilerError RW941 without a reason. UnwritableFileError RW572 where a witness cannot be
    written: the fleet stays observe-only, and accepting again is harmless.
    """
    require_reason(reason)
    because = project.observe_only
    if because is None:
        return None
    ledger = Ledger(project.database)
    told = f"the ledger was accepted as it is: {reason}"
    under_way = [each for each in ledger.under_way() if each.state in ACTIVE]
    with ledger.writing() as connection:
        ledger.accept_within(connection, now, actor, f"{because.code}, {reason}")
        for each in under_way:
            begun = each.state not in NOT_BEGUN
            ledger.move_within(
                connection,
                each.operation.op_id,
                each.state,
                OperationState.INDETERMINATE if begun else OperationState.PLANNED,
                attempt=each.attempt,
                at=now,
                actor=actor,
                reason=told,
            )
    head = LedgerLines(project.database).head()
    Witnesses(project.state).write(head)
    unknown = sum(each.state not in NOT_BEGUN for each in under_way)
    return AcceptedLedger(because, head.line, len(under_way) - unknown, unknown)
