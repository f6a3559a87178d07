"""Tokens that persons make, who joined by them, and machines that no document has yet."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_APPEND_ONLY = """
CREATE TRIGGER {table}_refuses_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the {table} table is append-only'); END
"""
_TABLES = ("join_token", "join_token_end", "agent_join")


def upgrade() -> None:
    """Create the tables; tokens say where they went and were used, boots through which relay."""
    op.create_table(
        "join_token",
        sa.Column("token_id", sa.String(8), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("group", sa.String, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("expires", sa.String(32), nullable=False),
    )
    op.create_index("join_token_by_digest", "join_token", ["digest"], unique=True)
    op.create_table(
        "join_token_end",
        sa.Column("token_id", sa.String(8), sa.ForeignKey("join_token.token_id"), primary_key=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "agent_join",
        sa.Column("token_id", sa.String(8), sa.ForeignKey("join_token.token_id"), primary_key=True),
        sa.Column("used_by", sa.String(64), primary_key=True),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("used_at", sa.String(32), nullable=False),
    )
    op.create_index("agent_join_by_machine", "agent_join", ["machine", "used_at"])
    op.create_table(
        "discovered_machine",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("hostname", sa.String, nullable=False),
        sa.Column("addresses", sa.Text, nullable=False),
        sa.Column("serial", sa.String, nullable=False),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("product", sa.String, nullable=False),
        sa.Column("os", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("token_id", sa.String(8), nullable=False),
        sa.Column("first_at", sa.String(32), nullable=False),
        sa.Column("last_at", sa.String(32), nullable=False),
    )
    op.create_index("discovered_machine_by_time", "discovered_machine", ["last_at"])
    for name in ("used_from", "sent_to"):
        op.add_column(
            "enrollment_token", sa.Column(name, sa.String, nullable=False, server_default="")
        )
    op.add_column("boot_event", sa.Column("relay", sa.String(15)))
    for table in _TABLES:
        for verb in ("UPDATE", "DELETE"):
            op.execute(_APPEND_ONLY.format(table=table, verb=verb))
