"""What installed systems call their own, by which two of them are found to share it.

``machine_observation.installed_since`` is when the system began to say what it says.
"""

from json import loads

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the table and fill in what is known."""
    op.create_table(
        "reported_identity",
        sa.Column("hardware", sa.String, primary_key=True),
        sa.Column("identity", sa.String, primary_key=True),
        sa.Column("since", sa.String(32), nullable=False),
    )
    op.create_index("reported_identity_by_identity", "reported_identity", ["identity", "hardware"])
    with op.batch_alter_table("machine_observation") as table:
        table.add_column(sa.Column("installed_since", sa.String(32)))
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE machine_observation SET installed_since = installed_at"))
    known = connection.execute(
        sa.text(
            "SELECT hardware, installed_system, installed_at FROM machine_observation "
            "WHERE installed_system IS NOT NULL"
        )
    )
    rows = [
        {"hardware": hardware, "identity": identity, "since": at}
        for hardware, text, at in known
        for identity in _identities(text)
    ]
    if rows:
        connection.execute(
            sa.text("INSERT INTO reported_identity VALUES (:hardware, :identity, :since)"), rows
        )


def _identities(text: str) -> set[str]:
    hostname, machine_id, addresses, keys, *_ = loads(text)
    found = {f"ssh-host-key {key}" for key in keys}
    found |= {f"address {address.partition('/')[0]}" for address in addresses[:256]}
    found |= {f"host-name {hostname.casefold()}"} if hostname else set()
    return found | ({f"machine-id {machine_id}"} if machine_id else set())
