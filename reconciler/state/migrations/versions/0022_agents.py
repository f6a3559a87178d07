"""Agents' certificates, requests to come back, and what tells a copied agent from its original."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Create the tables; certificates of before are recorded when they are seen."""
    op.create_table(
        "agent_certificate",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("authority_key", sa.String(40), nullable=False),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("issued", sa.String(32), nullable=False),
        sa.Column("expires", sa.String(32), nullable=False),
        sa.Column("used_at", sa.String(32)),
        sa.Column("revoked_at", sa.String(32)),
    )
    op.create_index("agent_certificate_by_machine", "agent_certificate", ["machine", "issued"])
    op.create_table(
        "agent_revocation",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("agent_revocation_by_machine", "agent_revocation", ["machine", "at"])
    op.create_table(
        "agent_return",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("asked_at", sa.String(32), nullable=False),
        sa.Column("last_at", sa.String(32), nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("accepted_at", sa.String(32)),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("agent_return_by_machine", "agent_return", ["machine"])
    op.create_table(
        "agent_exchange",
        sa.Column("machine", sa.String, primary_key=True),
        sa.Column("confirmed", sa.String(64), nullable=False),
        sa.Column("offered", sa.String(64), nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("boot_id", sa.String, nullable=False),
        sa.Column("suspicion", sa.Text, nullable=False),
        sa.Column("agreed", sa.Integer, nullable=False),
    )
    op.create_table(
        "authority_event",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
