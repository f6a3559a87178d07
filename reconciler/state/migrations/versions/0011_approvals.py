"""Approvals by person, with their ends; who ended a quarantine, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_APPEND_ONLY = """
CREATE TRIGGER {table}_refuses_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END
"""
_TABLES = (
    "approval_request",
    "approval_request_operation",
    "approval",
    "approved_revision",
    "ended_quarantine",
)


def upgrade() -> None:
    """Create the tables, and the time until which an approved operation may be armed."""
    op.create_table(
        "approval_request",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("revision", sa.String, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("not_before", sa.String(32)),
    )
    op.create_table(
        "approval_request_operation",
        sa.Column(
            "digest", sa.String(64), sa.ForeignKey("approval_request.digest"), primary_key=True
        ),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("risk", sa.String, nullable=False),
    )
    op.create_table(
        "approval",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("person", sa.String, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("means", sa.String, nullable=False),
        sa.Column("tag", sa.String(64), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("approval_by_digest", "approval", ["digest"])
    op.create_table(
        "approved_revision",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("revision", sa.String, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "ended_quarantine",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("hardware", sa.String, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("alarm", sa.Text, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.add_column("run_operation", sa.Column("expires", sa.String(32)))
    for table in _TABLES:
        for verb in ("UPDATE", "DELETE"):
            op.execute(_APPEND_ONLY.format(table=table, verb=verb))
