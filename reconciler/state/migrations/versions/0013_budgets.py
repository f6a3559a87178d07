"""Budgets count all work, by its scenario and kind too; approvals say on what terms work begins.

What was approved before may interrupt nothing: where a system may run, it is asked about again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0006"

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
