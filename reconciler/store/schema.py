"""Tables of the state database.

``operation``, ``ledger`` and ``accepted_revision`` are append-only: triggers refuse UPDATE and
DELETE.
``progress`` is what an attempt said last and may be lost without harm.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times as sortable ISO 8601 text with microseconds."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Turn an aware time into text; a naive time is a mistake."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Turn text back into an aware time."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


metadata = MetaData()

operation = Table(
    "operation",
    metadata,
    Column("op_id", String(32), primary_key=True),
    Column("machine", String, nullable=False),
    Column("hardware", String, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("planned_at", UtcDateTime, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ledger_by_operation", "op_id", "sequence"),
)

progress = Table(
    "progress",
    metadata,
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("bytes_done", Integer, nullable=False),
    Column("bytes_total", Integer, nullable=False),
    Column("steps_done", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

capture = Table(
    "capture",
    metadata,
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("image", String, primary_key=True),
    Column("manifest", String(64), nullable=False),
    Column("proof", Text),
)

boot_grant = Table(
    "boot_grant",
    metadata,
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("macs", Text, nullable=False),
    Column("uuid", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("expires", UtcDateTime, nullable=False),
    Column("claimed_at", UtcDateTime),
)

enrolment_token = Table(
    "enrolment_token",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("machine", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("expires", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("used_by", String(64)),
    Column("void", Boolean, nullable=False, default=False),
)

machine_report = Table(
    "machine_report",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("environment", String, primary_key=True),
    Column("machine", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

agent_contact = Table(
    "agent_contact",
    metadata,
    Column("machine", String, primary_key=True),
    Column("environment", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

boot_event = Table(
    "boot_event",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("mac", String(17), nullable=False),
    Column("uuid", String, nullable=False),
    Column("route", String, nullable=False),
    Column("firmware_boot", Boolean, nullable=False),
    Column("source", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("boot_event_by_mac", "mac", "sequence"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("machine", String, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("network", String, primary_key=True),
    Column("address", String, primary_key=True),
    Column("mac", String(17), nullable=False),
    Column("expires", UtcDateTime, nullable=False),
    Column("state", String, nullable=False),
)

accepted_revision = Table(
    "accepted_revision",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("commit", String(64), nullable=False),
    Column("source", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
)
