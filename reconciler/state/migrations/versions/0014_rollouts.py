"""Rollouts: waves of approved work, what became of each machine, and who decided what."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_APPEND_ONLY = """
CREATE TRIGGER rollout_event_refuses_{verb} BEFORE {verb} ON rollout_event
BEGIN SELECT RAISE(ABORT, 'rollout_event is append-only'); END
"""


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "rollout",
        sa.Column("rollout_id", sa.String, primary_key=True),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("group", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("rollout_by_state", "rollout", ["state"])
    op.create_index("rollout_by_time", "rollout", ["at"])
    op.create_table(
        "rollout_machine",
        sa.Column("rollout_id", sa.String, sa.ForeignKey("rollout.rollout_id"), primary_key=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("at", sa.String(32)),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("rollout_machine_by_operation", "rollout_machine", ["op_id", "outcome"])
    op.create_table(
        "rollout_event",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("rollout_id", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("rollout_event_by_rollout", "rollout_event", ["rollout_id", "sequence"])
    for verb in ("UPDATE", "DELETE"):
        op.execute(_APPEND_ONLY.format(verb=verb))
