"""Runs: what was approved together, by whom and why; and when each step began and ended.

Approvals of before are runs of their own: their ledger lines say who, when and which plan.
"""

from json import loads

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables and fill in the approvals of before."""
    op.create_table(
        "run",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("revision", sa.String, nullable=False),
        sa.Column("plan_digest", sa.String(64), nullable=False),
    )
    op.create_index("run_by_time", "run", ["at"])
    op.create_table(
        "run_operation",
        sa.Column("run_id", sa.String, sa.ForeignKey("run.run_id"), primary_key=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
    )
    op.create_index("run_operation_by_operation", "run_operation", ["op_id"])
    op.create_table(
        "step",
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True),
        sa.Column("began_at", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.String(32)),
        sa.Column("bytes_done", sa.Integer, nullable=False),
    )
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT l.sequence, l.op_id, l.at, l.actor, l.reason, o.body FROM ledger l "
            "JOIN operation o ON o.op_id = l.op_id WHERE l.state = 'approved' ORDER BY l.sequence"
        )
    )
    runs: dict[tuple[str, str, str], dict[str, str]] = {}
    members: dict[tuple[str, str], None] = {}
    for sequence, op_id, at, actor, reason, body in rows:
        run = runs.setdefault(
            (at, actor, reason),
            {
                "run_id": f"earlier-{sequence}",
                "kind": "unattended" if actor == "server" else "apply",
                "actor": actor,
                "at": at,
                "reason": "",
                "revision": loads(body)["revision"],
                "plan_digest": reason.removeprefix("plan ")[:64],
            },
        )
        members[run["run_id"], op_id] = None
    insert_run = (
        "INSERT INTO run VALUES (:run_id, :kind, :actor, :at, :reason, :revision, :plan_digest)"
    )
    if runs:
        connection.execute(sa.text(insert_run), list(runs.values()))
        connection.execute(
            sa.text("INSERT INTO run_operation VALUES (:run_id, :op_id)"),
            [{"run_id": run_id, "op_id": op_id} for run_id, op_id in members],
        )
