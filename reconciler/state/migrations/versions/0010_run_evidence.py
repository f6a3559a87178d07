"""Evidence of runs: what is kept of the texts that machines send, whose content is in files."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "run_evidence",
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_index("run_evidence_by_time", "run_evidence", ["at"])
