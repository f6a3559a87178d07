"""Reading what of the ledger still decides something; see ``current`` for what that is."""

from collections.abc import Iterable
from datetime import datetime

from reconciler.ledger.body import COLUMNS, StoredOperation, decode_operation
from reconciler.ledger.operation import OperationStatus
from reconciler.ledger.states import ACTIVE, OperationState
from reconciler.store.rows import Rows, stored_time

UNDER_WAY = ACTIVE | {OperationState.INDETERMINATE}
_PROGRESS = f"""
SELECT p.op_id, p.step, p.bytes_done, p.bytes_total, p.at, p.steps_done
FROM current_operation c JOIN progress p ON p.op_id = c.op_id AND p.attempt = c.attempt
WHERE c.state IN ({", ".join(f"'{state.value}'" for state in sorted(UNDER_WAY))})
"""  # noqa: S608 - constants
_BODY = "SELECT body FROM operation WHERE op_id = :op_id"
_DESTRUCTIVE_STARTS = f"""
SELECT l.at, c.destructive, CASE WHEN c.op_id IS NULL THEN o.body END
FROM ledger l
JOIN operation o ON o.op_id = l.op_id
LEFT JOIN current_operation c ON c.op_id = l.op_id
WHERE l.state = '{OperationState.ARMED.value}' AND l.attempt = 1 AND l.at >= :since
ORDER BY l.sequence
"""  # noqa: S608 - constants
"""Only what a newer end replaced has a body here: it has to be decoded to know."""
_STATES = {state.value: state for state in OperationState}


class LedgerReading:
    """What plans and the loop read of the ledger."""

    def __init__(self, database: Rows) -> None:
        self._database = database

    def current(self, states: Iterable[OperationState] = ()) -> tuple[OperationStatus, ...]:
        """Return the current operations in the order of their last move.

        All of them, or those in these states; their steps are decoded only when they are
        asked for.
        """
        wanted = ", ".join(f"'{state.value}'" for state in states)
        where = f"WHERE state IN ({wanted})" if wanted else ""
        query = (
            f"SELECT {COLUMNS}, state, attempt, at, reason FROM current_operation {where} "  # noqa: S608 - constants
            "ORDER BY sequence"
        )
        rows, events = self._database.rows(query, _PROGRESS)
        parse = datetime.fromisoformat
        progress = {
            op_id: (step, done, total, parse(at), bool(steps_done))
            for op_id, step, done, total, at, steps_done in events
        }
        return tuple(
            OperationStatus(
                StoredOperation(self._body, row),
                _STATES[row[10]],
                row[11],
                parse(row[12]),
                row[13],
                *progress.get(row[0], ()),
            )
            for row in rows
        )

    def destructive_starts(self, since: datetime) -> tuple[datetime, ...]:
        """Return when destructive operations were first armed, from ``since`` on, oldest first."""
        [rows] = self._database.rows(_DESTRUCTIVE_STARTS, since=stored_time(since))
        return tuple(
            datetime.fromisoformat(at)
            for at, destructive, body in rows
            if (decode_operation(body).destructive if body else destructive)
        )

    def _body(self, op_id: str) -> str:
        """Return the recorded text of an operation."""
        [[(body,)]] = self._database.rows(_BODY, op_id=op_id)
        return str(body)
