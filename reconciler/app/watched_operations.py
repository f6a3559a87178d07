"""The operations that a command follows to their end."""

from collections.abc import Sequence

from reconciler.state.database import Database
from reconciler.state.ledger import Ledger
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_states import ACTIVE, ENDED
from reconciler.state.operations import Operations


class WatchedOperations:
    """Reads what may still change, in one question however many there are.

    What has ended is read once more: nothing follows.
    """

    def __init__(self, database: Database, op_ids: Sequence[str]) -> None:
        self._ledger = Ledger(database)
        self._operations = Operations(database)
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

    def _rested(self, op_id: str) -> OperationStatus | None:
        """Return an operation that is not under way: it ended, or waits for a person."""
        status = next(iter(self._ledger.operations(op_id=op_id)), None)
        if status is not None and status.state in ENDED:
            self._ended[op_id] = status
        return status
