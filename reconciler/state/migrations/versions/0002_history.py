"""History follows hardware: what the planner reads, by hardware, without the whole history.

``machine_observation`` is what was last heard of each hardware, one row each;
``machine_report`` keeps the reports' text beside it. ``current_operation`` is the
part of operations and ledger that still decides something. ``boot_client`` has the
last boot of each MAC, so that the timeline itself may be cut. Contact and
quarantine, which were kept by name, move to the hardware that had the name last.
"""

from collections.abc import Iterable
from hashlib import blake2b
from json import dumps, loads
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ENDED = {"verified", "failed", "cancelled"}


def upgrade() -> None:
    """Create the new tables and fill them with what is there."""
    _create()
    connection = op.get_bind()
    operations = _operations(connection)
    _fill_current(connection, operations)
    known = _known_hardware(operations)
    _fill_observations(connection, known)
    _fill_quarantine(connection, known)
    _fill_boots(connection)


def _create() -> None:
    op.create_table(
        "current_operation",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("op_id", sa.String(32), sa.ForeignKey("operation.op_id"), nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("hardware", sa.String, nullable=False),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("scenario", sa.String, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("revision", sa.String, nullable=False),
        sa.Column("destructive", sa.Boolean, nullable=False),
        sa.Column("proof", sa.Boolean, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("current_operation_by_id", "current_operation", ["op_id"], unique=True)
    op.create_index(
        "current_operation_by_work", "current_operation", ["hardware", "scenario", "run"]
    )
    op.create_index("current_operation_by_state", "current_operation", ["state"])
    op.create_index("ledger_by_time", "ledger", ["state", "at"])
    op.create_table(
        "machine_observation",
        sa.Column("hardware", sa.String, primary_key=True),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("ram_name", sa.String),
        sa.Column("ram_at", sa.String(32)),
        sa.Column("ram_digest", sa.String(32)),
        sa.Column("installed_name", sa.String),
        sa.Column("installed_at", sa.String(32)),
        sa.Column("installed_digest", sa.String(32)),
        sa.Column("installed_system", sa.Text),
        sa.Column("contact_name", sa.String),
        sa.Column("contact_environment", sa.String),
        sa.Column("contact_at", sa.String(32)),
        sa.Column("stamp", sa.String(24), nullable=False, server_default=""),
    )
    op.create_table(
        "boot_client",
        sa.Column("mac", sa.String(17), primary_key=True),
        sa.Column("known", sa.Boolean, nullable=False),
        sa.Column("heard_at", sa.String(32), nullable=False),
        sa.Column("boot_at", sa.String(32)),
    )
    op.create_index("boot_client_by_time", "boot_client", ["known", "heard_at"])
    op.create_index("enrolment_token_by_machine", "enrolment_token", ["machine", "used_at"])


def _operations(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return every operation with its newest ledger line, in the order of that line."""
    rows = connection.execute(
        sa.text(
            "SELECT o.body, o.planned_at, l.sequence, l.state, l.attempt, l.at, l.reason "
            "FROM operation o JOIN ledger l ON l.op_id = o.op_id "
            "WHERE l.sequence IN (SELECT max(sequence) FROM ledger GROUP BY op_id) "
            "ORDER BY l.sequence"
        )
    )
    found = []
    for row in rows:
        body = loads(row.body)
        identities = [body["hardware"], *(f"mac:{mac}" for mac in body["macs"])]
        if body["uuid"]:
            identities.append(f"uuid:{body['uuid']}")
        names = ("op_id", "machine", "hardware", "kind", "scenario", "run", "revision", "proof")
        found.append(
            {name: body[name] for name in names}
            | {name: getattr(row, name) for name in ("sequence", "state", "attempt", "at")}
            | {
                "identities": " ".join(dict.fromkeys(identities)),
                "destructive": bool(body["disks"]),
                "reason": row.reason,
                "planned_at": row.planned_at,
            }
        )
    return found


def _fill_current(connection: sa.Connection, operations: Iterable[dict[str, Any]]) -> None:
    current: dict[object, dict[str, Any]] = {}
    for each in operations:
        inspection = each["scenario"] == "inspection" and each["kind"] == "inspect"
        work = (each["hardware"], each["scenario"], "" if inspection else each["run"])
        if each["state"] not in _ENDED:
            current[each["op_id"]] = each
            continue
        lasting = each["destructive"] or each["kind"] == "capture"
        kept = each["state"] == "verified" and lasting
        current[(*work, kept)] = each
        if kept:
            current.pop((*work, False), None)
    for each in current.values():
        columns = [name for name in each if name != "planned_at"]
        values = ", ".join(f":{name}" for name in columns)
        connection.execute(
            sa.text(
                f"INSERT INTO current_operation ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 - names of columns
            ),
            {name: each[name] for name in columns},
        )


def _known_hardware(operations: Iterable[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return hardware and identities by the name that they were planned under last."""
    ordered = sorted(operations, key=lambda each: str(each["planned_at"]))
    return {each["machine"]: (each["hardware"], each["identities"]) for each in ordered}


def _fill_observations(connection: sa.Connection, known: dict[str, tuple[str, str]]) -> None:
    identities = dict(known.values())
    by_name: dict[str, str] = {name: hardware for name, (hardware, _) in known.items()}
    reports = connection.execute(sa.text("SELECT * FROM machine_report ORDER BY at")).all()
    op.add_column(
        "machine_report", sa.Column("digest", sa.String(32), nullable=False, server_default="")
    )
    for row in reports:
        digest = blake2b(row.body.encode(), digest_size=16).hexdigest()
        prefix = "installed" if row.environment == "installed" else "ram"
        values = {
            f"{prefix}_name": row.machine,
            f"{prefix}_at": row.at,
            f"{prefix}_digest": digest,
        }
        if prefix == "installed":
            values["installed_system"] = _installed(loads(row.body).get("installed"))
        _merge(connection, row.hardware, identities.get(row.hardware, row.hardware), values)
        connection.execute(
            sa.text(
                "UPDATE machine_report SET digest = :digest "
                "WHERE hardware = :hardware AND environment = :environment"
            ),
            {"digest": digest, "hardware": row.hardware, "environment": row.environment},
        )
        by_name[row.machine] = row.hardware
    for row in connection.execute(sa.text("SELECT * FROM agent_contact")).all():
        # A contact without hardware is old news within seconds: the agent asks again.
        if row.machine in by_name:
            hardware = by_name[row.machine]
            values = {
                "contact_name": row.machine,
                "contact_environment": row.environment,
                "contact_at": row.at,
            }
            _merge(connection, hardware, identities.get(hardware, hardware), values)
    op.drop_table("agent_contact")


def _installed(system: dict[str, Any] | None) -> str | None:
    if system is None:
        return None
    names = ("hostname", "machine_id", "addresses", "ssh_host_keys", "os", "kernel", "operation")
    return dumps([system[name] for name in names], separators=(",", ":"))


def _merge(
    connection: sa.Connection, hardware: str, identities: str, values: dict[str, Any]
) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO machine_observation (hardware, identities) VALUES (:hardware, :known) "
            "ON CONFLICT DO NOTHING"
        ),
        {"hardware": hardware, "known": identities},
    )
    changes = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(
        sa.text(f"UPDATE machine_observation SET {changes} WHERE hardware = :hardware"),  # noqa: S608 - names of columns
        {**values, "hardware": hardware},
    )


def _fill_quarantine(connection: sa.Connection, known: dict[str, tuple[str, str]]) -> None:
    barred = connection.execute(sa.text("SELECT * FROM quarantine ORDER BY at")).all()
    reports = {
        row.machine: (row.hardware, row.hardware)
        for row in connection.execute(sa.text("SELECT * FROM machine_report ORDER BY at"))
    }
    op.drop_table("quarantine")
    op.create_table(
        "quarantine",
        sa.Column("hardware", sa.String, primary_key=True),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("machine", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    for row in barred:
        # Where nothing tells the hardware, the bar stays on whoever has the name.
        nobody = (f"name:{row.machine}", f"name:{row.machine}")
        hardware, identities = known.get(row.machine) or reports.get(row.machine) or nobody
        connection.execute(
            sa.text(
                "INSERT INTO quarantine (hardware, identities, machine, reason, at) "
                "VALUES (:hardware, :identities, :machine, :reason, :at) ON CONFLICT DO NOTHING"
            ),
            {
                "hardware": hardware,
                "identities": identities,
                "machine": row.machine,
                "reason": row.reason,
                "at": row.at,
            },
        )


def _fill_boots(connection: sa.Connection) -> None:
    # Whether the fleet knows a MAC is learnt at its next boot; until then none is cut.
    connection.execute(
        sa.text(
            "INSERT INTO boot_client (mac, known, heard_at, boot_at) "
            "SELECT mac, 1, max(at), max(CASE WHEN firmware_boot THEN at END) "
            "FROM boot_event GROUP BY mac"
        )
    )
