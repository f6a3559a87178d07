"""Budgets count all work, by its scenario and kind too."""

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
