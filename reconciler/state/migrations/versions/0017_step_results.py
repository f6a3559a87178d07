"""What each step found or did, as its agent said it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column; of steps of before nothing is known."""
    op.add_column("step", sa.Column("result", sa.Text, nullable=False, server_default="{}"))
