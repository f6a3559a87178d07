"""The commits that were accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_APPEND_ONLY = """
CREATE TRIGGER accepted_revision_refuses_{verb} BEFORE {verb} ON accepted_revision
BEGIN SELECT RAISE(ABORT, 'the accepted_revision table is append-only'); END
"""


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "accepted_revision",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("commit", sa.String(64), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(_APPEND_ONLY.format(verb=verb))
