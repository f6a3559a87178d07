"""What is protected until somebody says that it no longer is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "protection",
        sa.Column("identity", sa.String, primary_key=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
