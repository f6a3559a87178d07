"""Tables of the state database.

``operation``, ``ledger`` and ``accepted_revision`` are append-only: triggers refuse UPDATE and
DELETE. ``ledger`` is a chain of hashes that begins with the one row of ``ledger_id``; a line
without an operation is a person's word about the ledger itself.
``current_operation`` repeats of them what still decides something, so that the
planner need not read all history. ``progress`` is what an attempt said last and may
be lost without harm.

``machine_observation`` is one row per hardware: all that was heard of it except the
reports' text, which ``machine_report`` keeps and few readers want. ``identities``
are all that the hardware was known by, separated by spaces; the key is the first.
``observed_identity`` and ``operation_identity`` lead from one identity to the rows of its
hardware. ``reported_identity`` is what an installed system calls its own and no other may have:
host name, machine-id, SSH host keys, addresses. ``run`` is one approval and why; ``step`` when
each step of an attempt began and ended; ``run_evidence`` which texts its machine sent of it,
whose content is in files.
``breaker_event`` is when breakers opened and who closed them. ``work_begun`` is what budgets
count: when work was armed for the first time, and whether its machine is still at work on it.

``approval_request`` is a plan that has to be approved by rule, with the approval rules that its
revision has, and ``approval`` what persons said of it; ``run_operation.expires`` is until when
what was approved may be armed. ``approved_revision`` is whose approval rules are in force.
``ended_quarantine`` says who ended a quarantine and why. These are append-only too, except
``run_operation``.

``reboot_lock`` is which machines may restart by themselves, or may until they were released.

``delay`` is what work waited for: approved work before it began, a capture for room in the image
store.

``rollout`` is how far the waves of an approval are, ``rollout_machine`` in which wave each of its
operations is and what became of it there. ``rollout_event`` is append-only: who or what opened a
wave, halted, resumed or aborted.

``join_token`` is a token that a person made, its hash alone; ``join_token_end`` who revoked it, and
``agent_join`` which key was certified for it, under which name and for which hardware. These are
append-only. ``discovered_machine`` is what an agent of hardware that no document has said last.
``inventory`` is what the agent of an installed system said last of what is installed there, one
row per hardware: what lists show, and the digests of its sections. ``inventory_section`` has each
section compressed: of packages, applications and hotfixes a set of bits, one for each ``id`` of
``inventory_item``, where every version that any machine has is there once; of others their rows.
``agent_certificate`` is each certificate that an agent got, ``agent_revocation`` who revoked those
of a machine and why, ``agent_return`` which agents with an expired one ask to come back, and
``agent_exchange`` by what value each installed agent is told from a copy of it. ``authority_event``
is who rolled the authority's key over or retired one.

``schedule_handled`` says up to which moment each schedule was looked at, ``schedule_occurrence``
what became of each moment, ``schedule_machine`` what became of each machine at it.

``package_source`` says up to which moment each source of packages was looked at and how its last
mirror went, ``source_package`` which packages it has; those that it does not offer any more stay as
tombstones.

``update_state`` is what each machine said last of what it installs by itself, ``update_result``
what became of each package in each check, ``update_notice`` who asked a machine last to look now.

``image_event`` is what people and retention did with images: names, pins, removals; and that damage
was found. ``image_store`` is which store belongs to this database: the last row counts. Both are
append-only. ``image_scrub`` is how far each scrub of the store is, ``image_check`` how each image
was when it was verified last.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


def time_text(value: datetime) -> str:
    """Return an aware time as it is stored; a naive time is a mistake."""
    if value.tzinfo is None:
        raise ValueError("a time without a time zone cannot be stored")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times as sortable ISO 8601 text with microseconds."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Turn an aware time into text; a naive time is a mistake."""
        del dialect
        return None if value is None else time_text(value)

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

ledger_id = Table("ledger_id", metadata, Column("id", String(64), primary_key=True))

ledger = Table(
    "ledger",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("op_id", String(32), ForeignKey("operation.op_id")),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("hash", String(64), nullable=False),
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
    Column("may_interrupt", Boolean, nullable=False),
    Column("trigger", String, nullable=False),
    Column("not_before", UtcDateTime),
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
    Column("scenario", String, nullable=False),
    Column("kind", String, nullable=False),
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
    Column("expires", UtcDateTime),
    Index("run_operation_by_operation", "op_id"),
)

approval_request = Table(
    "approval_request",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String, nullable=False),
    Column("revision", String, nullable=False),
    Column("rules", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("trigger", String, nullable=False),
    Column("not_before", UtcDateTime),
)

approval_request_operation = Table(
    "approval_request_operation",
    metadata,
    Column("digest", String(64), ForeignKey("approval_request.digest"), primary_key=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("risk", String, nullable=False),
)

approval = Table(
    "approval",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False),
    Column("person", String, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("means", String, nullable=False),
    Column("tag", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Index("approval_by_digest", "digest"),
)

approved_revision = Table(
    "approved_revision",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("revision", String, nullable=False),
    Column("rules", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
)

ended_quarantine = Table(
    "ended_quarantine",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("hardware", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("alarm", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
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
    Column("result", Text, nullable=False, server_default="{}"),
)

schedule_handled = Table(
    "schedule_handled",
    metadata,
    Column("schedule", String, primary_key=True),
    Column("rhythm", String, nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

schedule_occurrence = Table(
    "schedule_occurrence",
    metadata,
    Column("schedule", String, primary_key=True),
    Column("moment", UtcDateTime, primary_key=True),
    Column("state", String, nullable=False),
    Column("begins_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run_id", String, nullable=False),
    Index("schedule_occurrence_by_state", "state"),
)

schedule_machine = Table(
    "schedule_machine",
    metadata,
    Column("schedule", String, primary_key=True),
    Column("moment", UtcDateTime, primary_key=True),
    Column("machine", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("op_id", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("identities", Text, nullable=False, server_default=""),
)

run_evidence = Table(
    "run_evidence",
    metadata,
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("name", String, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("run_evidence_by_time", "at"),
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
    Column("used_from", String, nullable=False, server_default=""),
    Column("sent_to", String, nullable=False, server_default=""),
    Column("void", Boolean, nullable=False, default=False),
    Index("enrollment_token_by_machine", "machine", "used_at"),
)

join_token = Table(
    "join_token",
    metadata,
    Column("token_id", String(8), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("group", String, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("expires", UtcDateTime, nullable=False),
    Index("join_token_by_digest", "digest", unique=True),
)

join_token_end = Table(
    "join_token_end",
    metadata,
    Column("token_id", String(8), ForeignKey("join_token.token_id"), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
)

agent_join = Table(
    "agent_join",
    metadata,
    Column("token_id", String(8), ForeignKey("join_token.token_id"), primary_key=True),
    Column("used_by", String(64), primary_key=True),
    Column("machine", String, nullable=False),
    Column("identities", Text, nullable=False),
    Column("source", String, nullable=False),
    Column("used_at", UtcDateTime, nullable=False),
    Index("agent_join_by_machine", "machine", "used_at"),
)

discovered_machine = Table(
    "discovered_machine",
    metadata,
    Column("name", String, primary_key=True),
    Column("identities", Text, nullable=False),
    Column("hostname", String, nullable=False),
    Column("addresses", Text, nullable=False),
    Column("serial", String, nullable=False),
    Column("vendor", String, nullable=False),
    Column("product", String, nullable=False),
    Column("os", String, nullable=False),
    Column("source", String, nullable=False),
    Column("token_id", String(8), nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Index("discovered_machine_by_time", "last_at"),
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

inventory = Table(
    "inventory",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("identities", Text, nullable=False),
    Column("machine", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("digests", Text, nullable=False),
    Column("os_id", String, nullable=False),
    Column("os_version", String, nullable=False),
    Column("os_name", String, nullable=False),
    Column("packages", Integer),
    Column("updates", Integer),
    Column("restart", Boolean),
)

inventory_section = Table(
    "inventory_section",
    metadata,
    Column("hardware", String, ForeignKey("inventory.hardware"), primary_key=True),
    Column("section", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

inventory_item = Table(
    "inventory_item",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(32), nullable=False),
    Column("section", String, nullable=False),
    Column("name", String, nullable=False),
    Column("row", Text, nullable=False),
    Index("inventory_item_by_digest", "digest", unique=True),
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
    Column("relay", String(15)),
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

breaker_event = Table(
    "breaker_event",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("group", String, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Index("breaker_event_by_group", "group", "sequence"),
)

reboot_lock = Table(
    "reboot_lock",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("client", String, nullable=False),
    Column("group", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("hardware", String, nullable=False),
    Column("identities", Text, nullable=False),
    Column("address", String, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("released_at", UtcDateTime),
    Column("released_by", String, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Index("reboot_lock_released", "released_at"),
)

delay = Table(
    "delay",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), nullable=False),
    Column("why", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Index("delay_by_operation", "op_id", "until"),
    Index("delay_open", "until"),
)

rollout = Table(
    "rollout",
    metadata,
    Column("rollout_id", String, primary_key=True),
    Column("run_id", String, nullable=False),
    Column("group", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("terms", Text, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Index("rollout_by_state", "state"),
    Index("rollout_by_time", "at"),
)

rollout_machine = Table(
    "rollout_machine",
    metadata,
    Column("rollout_id", String, ForeignKey("rollout.rollout_id"), primary_key=True),
    Column("op_id", String(32), ForeignKey("operation.op_id"), primary_key=True),
    Column("machine", String, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("outcome", String, nullable=False),
    Column("at", UtcDateTime),
    Column("reason", Text, nullable=False),
    Index("rollout_machine_by_operation", "op_id", "outcome"),
)

rollout_event = Table(
    "rollout_event",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("rollout_id", String, nullable=False),
    Column("what", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Index("rollout_event_by_rollout", "rollout_id", "sequence"),
)

package_source = Table(
    "package_source",
    metadata,
    Column("source", String, primary_key=True),
    Column("rhythm", String, nullable=False),
    Column("handled_until", UtcDateTime),
    Column("begun_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("succeeded_at", UtcDateTime),
    Column("failure", String, nullable=False),
    Column("code", String(5), nullable=False),
    Column("cause", Text, nullable=False),
    Column("received", Integer, nullable=False),
)

source_package = Table(
    "source_package",
    metadata,
    Column("source", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("files", Text, nullable=False),
)

update_state = Table(
    "update_state",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("identities", Text, nullable=False),
    Column("machine", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("orders", String(32), nullable=False),
    Column("phase", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("code", String(5), nullable=False),
    Column("since", UtcDateTime),
    Column("run", String(64), nullable=False),
    Column("checked", UtcDateTime),
    Column("next_check", UtcDateTime),
    Column("results", Text, nullable=False),
)

update_result = Table(
    "update_result",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("hardware", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("run", String(64), nullable=False),
    Column("package", String, nullable=False),
    Column("state", String, nullable=False),
    Column("result", Text, nullable=False),
    Index("update_result_once", "hardware", "run", "package", "state", unique=True),
)

update_notice = Table(
    "update_notice",
    metadata,
    Column("hardware", String, primary_key=True),
    Column("identities", Text, nullable=False),
    Column("machine", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
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

agent_certificate = Table(
    "agent_certificate",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("machine", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("key", String(64), nullable=False),
    Column("authority_key", String(40), nullable=False),
    Column("origin", String, nullable=False),
    Column("issued", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index("agent_certificate_by_machine", "machine", "issued"),
)

agent_revocation = Table(
    "agent_revocation",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("machine", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Index("agent_revocation_by_machine", "machine", "at"),
)

agent_return = Table(
    "agent_return",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("machine", String, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("source", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("accepted_at", UtcDateTime),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Index("agent_return_by_machine", "machine"),
)

agent_exchange = Table(
    "agent_exchange",
    metadata,
    Column("machine", String, primary_key=True),
    Column("confirmed", String(64), nullable=False),
    Column("offered", String(64), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("suspicion", Text, nullable=False),
    Column("agreed", Integer, nullable=False),
)

authority_event = Table(
    "authority_event",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("what", String, nullable=False),
    Column("key", String(40), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
)

image_event = Table(
    "image_event",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("what", String, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("name", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Index("image_event_by_digest", "digest"),
)

image_store = Table(
    "image_store",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("identity", String(32), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
)

image_scrub = Table(
    "image_scrub",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("folder", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("damages", Integer, nullable=False),
)

image_check = Table(
    "image_check",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
    Column("damages", Integer, nullable=False),
    Column("detail", Text, nullable=False),
)
