"""The first schema: operations and ledger, grants, observations, leases."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = """
CREATE TRIGGER {table}_refuses_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END
"""


def upgrade() -> None:
    """Create everything."""
    _create_ledger()
    _create_grants()
    _create_observations()
    for table in ("operation", "ledger"):
        for verb in ("UPDATE", "DELETE"):
            op.execute(_APPEND_ONLY.format(table=table, verb=verb))


def _create_ledger() -> None:
    op.create_table(
        "operation",
        sa.Column("op_id", sa.String(32), primary_key=True),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("hardware", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("planned_at", sa.String(32), nullable=False),
    )
    op.create_index("ix_operation_hardware", "operation", ["hardware"])
    op.create_table(
        "ledger",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("ledger_by_operation", "ledger", ["op_id", "sequence"])
    op.create_table(
        "progress",
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("bytes_done", sa.Integer, nullable=False),
        sa.Column("bytes_total", sa.Integer, nullable=False),
        sa.Column("steps_done", sa.Boolean, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_table(
        "capture",
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("image", sa.String, primary_key=True),
        sa.Column("manifest", sa.String(64), nullable=False),
        sa.Column("proof", sa.Text),
    )


def _create_grants() -> None:
    op.create_table(
        "boot_grant",
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("macs", sa.Text, nullable=False),
        sa.Column("uuid", sa.String, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("expires", sa.String(32), nullable=False),
        sa.Column("claimed_at", sa.String(32)),
    )
    op.create_table(
        "enrolment_token",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("expires", sa.String(32), nullable=False),
        sa.Column("used_at", sa.String(32)),
        sa.Column("used_by", sa.String(64)),
        sa.Column("void", sa.Boolean, nullable=False),
    )
    op.create_table(
        "quarantine",
        sa.Column("machine", sa.String, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )


def _create_observations() -> None:
    op.create_table(
        "machine_report",
        sa.Column("hardware", sa.String, primary_key=True),
        sa.Column("environment", sa.String, primary_key=True),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_table(
        "agent_contact",
        sa.Column("machine", sa.String, primary_key=True),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_table(
        "boot_event",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("mac", sa.String(17), nullable=False),
        sa.Column("uuid", sa.String, nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("firmware_boot", sa.Boolean, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_index("boot_event_by_mac", "boot_event", ["mac", "sequence"])
    op.create_table(
        "lease",
        sa.Column("network", sa.String, primary_key=True),
        sa.Column("address", sa.String, primary_key=True),
        sa.Column("mac", sa.String(17), nullable=False),
        sa.Column("expires", sa.String(32), nullable=False),
        sa.Column("state", sa.String, nullable=False),
    )
