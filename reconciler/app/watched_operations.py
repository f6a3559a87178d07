"""The operations that a command follows to their end."""

from collections.abc import Collection, Iterable, Sequence

from reconciler.state.database import Database
from reconciler.state.delays import Delays
from reconciler.state.ledger import Ledger
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, ENDED, OperationState
from reconciler.state.operations import Operations
from reconciler.state.rollouts import Rollout, Rollouts

_MAY_WAIT = frozenset({OperationState.APPROVED, OperationState.STARTED})
_MANY = 1000
"""Operations of which it is not shown what each waits for."""


class WatchedOperations:
    """Reads what may still change, in one question however many there are.

    What has ended is read once more: nothing follows.
    """

    def __init__(self, database: Database, op_ids: Sequence[str]) -> None:
        self._ledger = Ledger(database)
        self._operations = Operations(database)
        self._rollouts = Rollouts(database)
        self._delays = Delays(database)
        self._op_ids = op_ids
        self._ended: dict[str, OperationStatus] = {}

    def look(self) -> list[OperationStatus]:
        """Return the operations as they stand now, in the order in which they were named."""
        active = {each.operation.op_id: each for each in self._operations.current(ACTIVE)}
        found = []
        for op_id in self._op_ids:
            status = active.get(op_id) or self._ended.get(op_id) or self._rested(op_id)
            if status is not None:
                found.append(status)
        return found

    def waits(self, statuses: Collection[OperationStatus]) -> dict[str, str]:
        """Return by operation what it waits for; of very many, none is worth the time."""
        if len(statuses) > _MANY or all(each.state not in _MAY_WAIT for each in statuses):
            return {}
        return {op_id: each.why for op_id, each in self._delays.present().items()}

    def halted(self, left: Iterable[OperationStatus]) -> tuple[Rollout, ...]:
        """Return the halted rollouts that all of what is left waits for.

        None while anything of it may go on.
        """
        waiting = tuple(left)
        if not waiting or any(each.state is not OperationState.APPROVED for each in waiting):
            return ()
        halted = [each for each in self._rollouts.active() if each.state == "halted"]
        held = {
            member.op_id: each
            for each in halted
            for member in self._rollouts.members(each.rollout_id)
            if not member.outcome
        }
        if any(each.operation.op_id not in held for each in waiting):
            return ()
        return tuple(dict.fromkeys(held[each.operation.op_id] for each in waiting))

    def _rested(self, op_id: str) -> OperationStatus | None:
        """Return an operation that is not under way: it ended, or waits for a person."""
        status = next(iter(self._ledger.operations(op_id=op_id)), None)
        if status is not None and status.state in ENDED:
            self._ended[op_id] = status
        return status
