"""The ledger has an id and is a chain of hashes; a line may be about no operation.

The hashes of what is there are filled in once, in order: from here on every change is noticed.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from reconciler.state.ledger_chain import LedgerLine, line_hash

revision = "0007"
down_revision = "0006"

_APPEND_ONLY = """
CREATE TRIGGER {table}_refuses_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END
"""
_AT_ONCE = 5_000
_COLUMNS = "sequence, op_id, state, attempt, at, actor, reason"


def upgrade() -> None:
    """Give the ledger an id, and make the table anew with its hashes."""
    config = op.get_context().config
    assert config is not None  # noqa: S101 - ``open_database`` gives one
    ledger = config.attributes["new_ledger_id"]()
    op.create_table("ledger_id", sa.Column("id", sa.String(64), primary_key=True))
    connection = op.get_bind()
    connection.execute(sa.text("INSERT INTO ledger_id VALUES (:id)"), {"id": ledger})
    op.rename_table("ledger", "ledger_before")
    for index in ("ledger_by_operation", "ledger_by_time"):
        op.drop_index(index)
    op.create_table(
        "ledger",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id")),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    names = _COLUMNS.replace(" ", "").split(",")
    values = ", ".join(f":{name}" for name in (*names, "hash"))
    insert = sa.text(f"INSERT INTO ledger ({_COLUMNS}, hash) VALUES ({values})")  # noqa: S608
    for rows in _chained(connection, ledger):
        connection.execute(insert, rows)
    op.drop_table("ledger_before")
    op.create_index("ledger_by_operation", "ledger", ["op_id", "sequence"])
    op.create_index("ledger_by_time", "ledger", ["state", "at"])
    for table in ("ledger", "ledger_id"):
        for verb in ("UPDATE", "DELETE"):
            op.execute(_APPEND_ONLY.format(table=table, verb=verb))


def _chained(connection: sa.Connection, before: str) -> Iterator[list[dict[str, object]]]:
    """Yield the rows of before with their hashes, some thousands at a time."""
    query = f"SELECT {_COLUMNS} FROM ledger_before ORDER BY sequence"  # noqa: S608 - no values
    for part in connection.execute(sa.text(query)).partitions(_AT_ONCE):
        rows: list[dict[str, object]] = []
        for row in part:
            line = LedgerLine(*row)
            before = line_hash(before, line)
            rows.append({**line._asdict(), "hash": before})
        yield rows
