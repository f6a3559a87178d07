"""Package sources: how their last mirrors went, and which packages they have."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "package_source",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("rhythm", sa.String, nullable=False),
        sa.Column("handled_until", sa.String(32)),
        sa.Column("begun_at", sa.String(32)),
        sa.Column("ended_at", sa.String(32)),
        sa.Column("succeeded_at", sa.String(32)),
        sa.Column("failure", sa.String, nullable=False),
        sa.Column("code", sa.String(5), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("received", sa.Integer, nullable=False),
    )
    op.create_table(
        "source_package",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("files", sa.Text, nullable=False),
    )
