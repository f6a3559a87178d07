"""Which machines hold the reboot semaphore."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "reboot_lock",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("client", sa.String, nullable=False),
        sa.Column("group", sa.String, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("hardware", sa.String, nullable=False),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("released_at", sa.String(32)),
        sa.Column("released_by", sa.String, nullable=False, server_default=""),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("reboot_lock_released", "reboot_lock", ["released_at"])
