"""Schedules: up to when each was looked at, and what became of its moments and their machines."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "schedule_handled",
        sa.Column("schedule", sa.String, primary_key=True),
        sa.Column("rhythm", sa.String, nullable=False),
        sa.Column("until", sa.String(32), nullable=False),
    )
    op.create_table(
        "schedule_occurrence",
        sa.Column("schedule", sa.String, primary_key=True),
        sa.Column("moment", sa.String(32), primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("begins_at", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
    )
    op.create_index("schedule_occurrence_by_state", "schedule_occurrence", ["state"])
    op.create_table(
        "schedule_machine",
        sa.Column("schedule", sa.String, primary_key=True),
        sa.Column("moment", sa.String(32), primary_key=True),
        sa.Column("machine", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("op_id", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
