"""What approved work waited for, and how long."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "delay",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("until", sa.String(32)),
    )
    op.create_index("delay_by_operation", "delay", ["op_id", "until"])
    op.create_index("delay_open", "delay", ["until"])
