"""What people did with images: names, pins, removals; and what was collected."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

_APPEND_ONLY = """
CREATE TRIGGER image_event_refuses_{verb} BEFORE {verb} ON image_event
BEGIN SELECT RAISE(ABORT, 'image_event is append-only'); END
"""


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "image_event",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("image_event_by_digest", "image_event", ["digest"])
    for verb in ("update", "delete"):
        op.execute(_APPEND_ONLY.format(verb=verb))
