"""What is installed on machines, as their agents say it."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "inventory",
        sa.Column("hardware", sa.String, primary_key=True),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("digests", sa.Text, nullable=False),
        sa.Column("os_id", sa.String, nullable=False),
        sa.Column("os_version", sa.String, nullable=False),
        sa.Column("os_name", sa.String, nullable=False),
        sa.Column("packages", sa.Integer),
        sa.Column("updates", sa.Integer),
        sa.Column("restart", sa.Boolean),
    )
    op.create_table(
        "inventory_section",
        sa.Column("hardware", sa.String, sa.ForeignKey("inventory.hardware"), primary_key=True),
        sa.Column("section", sa.String, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "inventory_item",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("section", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("row", sa.Text, nullable=False),
    )
    op.create_index("inventory_item_by_digest", "inventory_item", ["digest"], unique=True)
