"""Which image store belongs to this database, its scrubs, and what is known of each image."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_APPEND_ONLY = """
CREATE TRIGGER image_store_refuses_{verb} BEFORE {verb} ON image_store
BEGIN SELECT RAISE(ABORT, 'image_store is append-only'); END
"""


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "image_store",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("identity", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    for verb in ("update", "delete"):
        op.execute(_APPEND_ONLY.format(verb=verb))
    op.create_table(
        "image_scrub",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("ended", sa.String(32), nullable=True),
        sa.Column("folder", sa.Integer, nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("damages", sa.Integer, nullable=False),
    )
    op.create_table(
        "image_check",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("damages", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
