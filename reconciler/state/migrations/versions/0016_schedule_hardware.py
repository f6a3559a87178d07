"""Whose part of a schedule's moment it was: by hardware, since names change."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column; parts of before are found by name."""
    op.add_column(
        "schedule_machine", sa.Column("identities", sa.Text, nullable=False, server_default="")
    )
