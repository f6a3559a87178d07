"""What machines install by themselves: how far they are, what became of it, who asked."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "update_state",
        sa.Column("hardware", sa.String, primary_key=True),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("boot_id", sa.String, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("orders", sa.String(32), nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("code", sa.String(5), nullable=False),
        sa.Column("since", sa.String(32)),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("checked", sa.String(32)),
        sa.Column("next_check", sa.String(32)),
        sa.Column("results", sa.Text, nullable=False),
    )
    op.create_table(
        "update_result",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("hardware", sa.String, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("package", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_index(
        "update_result_once",
        "update_result",
        ["hardware", "run", "package", "state"],
        unique=True,
    )
    op.create_table(
        "update_notice",
        sa.Column("hardware", sa.String, primary_key=True),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
