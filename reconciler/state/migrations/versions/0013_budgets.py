"""Budgets count all work, by scenario and kind; approvals have terms, and breakers a history.

What was approved before may interrupt nothing: where a system may run, it is asked about again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_FILL = """
UPDATE work_begun SET (scenario, kind) = (
    SELECT json_extract(body, '$.scenario'), json_extract(body, '$.kind')
    FROM operation WHERE operation.op_id = work_begun.op_id
)
"""


def upgrade() -> None:
    """Add the columns; what began before has them in its operation."""
    for name in ("scenario", "kind"):
        op.add_column("work_begun", sa.Column(name, sa.String, nullable=False, server_default=""))
    op.execute(_FILL)
    table = "current_operation"
    no = sa.Column("may_interrupt", sa.Boolean, nullable=False, server_default="0")
    now = sa.Column("trigger", sa.String, nullable=False, server_default="now")
    op.add_column(table, no)
    op.add_column(table, now)
    op.add_column(table, sa.Column("not_before", sa.String(32)))
    op.create_table(
        "breaker_event",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("group", sa.String, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("breaker_event_by_group", "breaker_event", ["group", "sequence"])
