"""Reading what of the ledger still decides something; see ``current`` for what that is."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from reconciler.state.beginning import INTERRUPTS, Beginning
from reconciler.state.operation import OperationStatus
from reconciler.state.operation_body import COLUMNS, StoredOperation, decode_operation
from reconciler.state.operation_states import ACTIVE, AT_WORK, OperationState
from reconciler.state.rows import Rows, stored_time

UNDER_WAY = ACTIVE | {OperationState.INDETERMINATE}
_PROGRESS = f"""
SELECT p.op_id, p.step, p.bytes_done, p.bytes_total, p.at, p.steps_done
FROM current_operation c JOIN progress p ON p.op_id = c.op_id AND p.attempt = c.attempt
WHERE c.state IN ({", ".join(f"'{state.value}'" for state in sorted(UNDER_WAY))})
"""  # noqa: S608 - constants
_BODY = "SELECT body FROM operation WHERE op_id = :op_id"
_BEGINNINGS = f"""
SELECT l.op_id, l.at, l.reason, o.hardware, c.destructive, c.identities,
       CASE WHEN c.op_id IS NULL THEN o.body END
FROM ledger l
JOIN operation o ON o.op_id = l.op_id
LEFT JOIN current_operation c ON c.op_id = l.op_id
WHERE l.sequence IN (
    SELECT sequence FROM ledger
    WHERE state = '{OperationState.ARMED.value}' AND attempt = 1 AND at >= :since
    UNION
    SELECT min(first.sequence)
    FROM ledger first JOIN current_operation present ON present.op_id = first.op_id
    WHERE present.state IN ({", ".join(f"'{state.value}'" for state in sorted(AT_WORK))})
      AND first.attempt = 1 AND +first.state = '{OperationState.ARMED.value}'
    GROUP BY first.op_id
)
ORDER BY l.sequence
"""  # noqa: S608 - constants
"""With the plus sign, SQLite does not go through all that was ever armed by the index of states.
Only what a newer end replaced has a body here: it has to be decoded to know."""
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

    def beginnings(self, since: datetime) -> tuple[Beginning, ...]:
        """Return the beginnings that budgets count, oldest first.

        Those from ``since`` on, and those of work that is not over yet.
        """
        [rows] = self._database.rows(_BEGINNINGS, since=stored_time(since))
        found = ((row[2], _beginning(row)) for row in rows)
        return tuple(each for reason, each in found if each.destructive or reason == INTERRUPTS)

    def _body(self, op_id: str) -> str:
        """Return the recorded text of an operation."""
        [[(body,)]] = self._database.rows(_BODY, op_id=op_id)
        return str(body)


def _beginning(row: tuple[Any, ...]) -> Beginning:
    op_id, at, _, hardware, destructive, identities, body = row
    if body is None:
        known = bool(destructive), tuple(identities.split(" "))
    else:
        replaced = decode_operation(body)
        known = replaced.destructive, replaced.identities
    return Beginning(op_id, datetime.fromisoformat(at), known[0], hardware, known[1])
