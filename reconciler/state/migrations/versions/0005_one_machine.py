"""One machine is looked up by any of its identities, and budgets count rows of their own.

``observed_identity`` and ``operation_identity`` lead from an identity to what was heard of the
hardware and to its operations. ``work_begun`` is what budgets count; it was told from the text
of a ledger line before. ``fault`` is what went wrong in the server and still does. What nobody
asks for (stamps and digests of reports) goes.
"""

from collections.abc import Iterator
from json import loads

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_INTERRUPTS = "its turn came; the system that may be running there is interrupted"
"""How the line that armed disruptive work for the first time was worded."""


def upgrade() -> None:
    """Create the tables and fill them with what is there."""
    _rename()
    _create()
    connection = op.get_bind()
    _fill_identities(connection)
    _fill_work_begun(connection)


def _rename() -> None:
    op.rename_table("enrolment_token", "enrollment_token")
    op.drop_index("enrolment_token_by_machine")
    op.create_index("enrollment_token_by_machine", "enrollment_token", ["machine", "used_at"])
    for name in ("ram_digest", "installed_digest", "stamp"):
        op.execute(f"ALTER TABLE machine_observation DROP COLUMN {name}")
    for name in ("name", "at"):
        op.execute(f"ALTER TABLE machine_observation RENAME COLUMN ram_{name} TO ramdisk_{name}")
    op.execute("ALTER TABLE machine_report DROP COLUMN digest")


def _create() -> None:
    op.create_table(
        "observed_identity",
        sa.Column("identity", sa.String, primary_key=True),
        sa.Column("hardware", sa.String, primary_key=True),
    )
    op.create_table(
        "operation_identity",
        sa.Column("identity", sa.String, primary_key=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
    )
    op.create_table(
        "work_begun",
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), primary_key=True),
        sa.Column("hardware", sa.String, nullable=False),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("impact", sa.String, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("at_work", sa.Boolean, nullable=False),
    )
    op.create_index("work_begun_by_time", "work_begun", ["at"])
    op.create_index("work_begun_at_work", "work_begun", ["at_work"])
    op.create_table(
        "fault",
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("code", sa.String(5), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
    )


def _fill_identities(connection: sa.Connection) -> None:
    rows = connection.execute(sa.text("SELECT hardware, identities FROM machine_observation"))
    observed = [
        {"identity": identity, "hardware": hardware}
        for hardware, identities in rows
        for identity in identities.split(" ")
    ]
    _insert(connection, "INSERT INTO observed_identity VALUES (:identity, :hardware)", observed)
    rows = connection.execute(sa.text("SELECT op_id, body FROM operation"))
    operations = [
        {"identity": identity, "op_id": op_id}
        for op_id, body in rows
        for identity in _identities(body)
    ]
    _insert(connection, "INSERT INTO operation_identity VALUES (:identity, :op_id)", operations)


def _fill_work_begun(connection: sa.Connection) -> None:
    """Take over the first arming of whatever overwrote a disk or interrupted a system."""
    rows = connection.execute(
        sa.text(
            "SELECT l.op_id, o.hardware, o.body, min(l.sequence), l.at, l.reason, c.state "
            "FROM ledger l JOIN operation o ON o.op_id = l.op_id "
            "LEFT JOIN current_operation c ON c.op_id = l.op_id "
            "WHERE l.state = 'armed' GROUP BY l.op_id"
        )
    )
    begun = [
        {
            "op_id": op_id,
            "hardware": hardware,
            "identities": " ".join(_identities(body)),
            "impact": "destructive" if loads(body)["disks"] else "disruptive",
            "at": at,
            "at_work": state in {"armed", "started"},
        }
        for op_id, hardware, body, _, at, reason, state in rows
        if loads(body)["disks"] or reason == _INTERRUPTS
    ]
    _insert(
        connection,
        "INSERT INTO work_begun VALUES (:op_id, :hardware, :identities, :impact, :at, :at_work)",
        begun,
    )


def _identities(body: str) -> Iterator[str]:
    """Return what an operation's hardware was known by, as ``Operation.identities`` does."""
    data = loads(body)
    known = [data["hardware"], *(f"mac:{mac}" for mac in data["macs"])]
    if data["uuid"]:
        known.append(f"uuid:{data['uuid']}")
    return iter(dict.fromkeys(known))


def _insert(connection: sa.Connection, statement: str, rows: list[dict[str, object]]) -> None:
    if rows:
        connection.execute(sa.text(statement), rows)
