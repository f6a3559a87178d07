"""Tables of the state database.

``operation``, ``ledger`` and ``accepted_revision`` are append-only: triggers refuse UPDATE and
DELETE.
``current_operation`` repeats of them what still decides something, so that the
planner need not read all history. ``progress`` is what an attempt said last and may
be lost without harm.

``machine_observation`` is one row per hardware: all that was heard of it except the
reports' text, which ``machine_report`` keeps and few readers want. ``identities``
are all that the hardware was known by, separated by spaces; the key is the first.
``observed_identity`` and ``operation_identity`` lead from one identity to the rows of its
hardware. ``reported_identity`` is what an installed system calls its own and no other may have:
host name, machine-id, SSH host keys, addresses. ``run`` is one approval and why; ``step`` when
each step of an attempt began and ended. ``work_begun`` is what budgets count: when work that
overwrites a disk or interrupts a system was armed for the first time, and whether its machine is
still at work on it.
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
    Index("ledger_by_time", "state", "at"),
)

current_operation = Table(
    "current_operation",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), nullable=False),
    Column("machine", String, nullable=False),
    Column("hardware", String, nullable=False),
    Column("identities", Text, nullable=False),
    Column("kind", String, nullable=False),
    Column("scenario", String, nullable=False),
    Column("run", String, nullable=False),
    Column("revision", String, nullable=False),
    Column("destructive", Boolean, nullable=False),
    Column("proof", Boolean, nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Index("current_operation_by_id", "op_id", unique=True),
    Index("current_operation_by_work", "hardware", "scenario", "run"),
    Index("current_operation_by_state", "state"),
)

operation_identity = Table(
    "operation_identity",
    metadata,
    Column("identity", String, primary_key=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
)

work_begun = Table(
    "work_begun",
    metadata,
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("hardware", String, nullable=False),
    Column("identities", Text, nullable=False),
    Column("impact", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("at_work", Boolean, nullable=False),
    Index("work_begun_by_time", "at"),
    Index("work_begun_at_work", "at_work"),
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

run = Table(
    "run",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("revision", String, nullable=False),
    Column("plan_digest", String(64), nullable=False),
    Index("run_by_time", "at"),
)

run_operation = Table(
    "run_operation",
    metadata,
    Column("run_id", String, ForeignKey("run.run_id"), primary_key=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Index("run_operation_by_operation", "op_id"),
)

step = Table(
    "step",
    metadata,
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("bytes_done", Integer, nullable=False),
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

enrollment_token = Table(
    "enrollment_token",
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
    Index("enrollment_token_by_machine", "machine", "used_at"),
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

machine_observation = Table(
    "machine_observation",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("identities", Text, nullable=False),
    Column("ramdisk_name", String),
    Column("ramdisk_at", UtcDateTime),
    Column("installed_name", String),
    Column("installed_at", UtcDateTime),
    Column("installed_system", Text),
    Column("installed_since", UtcDateTime),
    Column("contact_name", String),
    Column("contact_environment", String),
    Column("contact_at", UtcDateTime),
)

reported_identity = Table(
    "reported_identity",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("identity", String, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Index("reported_identity_by_identity", "identity", "hardware"),
)

observed_identity = Table(
    "observed_identity",
    metadata,
    Column("identity", String, primary_key=True),
    Column("hardware", String, primary_key=True),
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

boot_client = Table(
    "boot_client",
    metadata,
    Column("mac", String(17), primary_key=True),
    Column("known", Boolean, nullable=False),
    Column("heard_at", UtcDateTime, nullable=False),
    Column("boot_at", UtcDateTime),
    Index("boot_client_by_time", "known", "heard_at"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("identities", Text, nullable=False),
    Column("machine", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

protection = Table(
    "protection",
    metadata,
    Column("identity", String, primary_key=True),
    Column("place", Text, nullable=False),
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

fault = Table(
    "fault",
    metadata,
    Column("subject", String, primary_key=True),
    Column("code", String(5), nullable=False),
    Column("cause", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("count", Integer, nullable=False),
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
