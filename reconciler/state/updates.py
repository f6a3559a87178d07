"""What machines said of what they install by themselves, on the state database."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from attrs import evolve
from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.wire.codec import encode
from agent.wire.package import PackageResult
from agent.wire.updates import UpdateReport
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.hardware import FleetHardware
from reconciler.state.package_results import readable_results
from reconciler.state.update_status import UpdateNotice, UpdateResult, UpdateStatus
from specs.fleet import CompiledMachine

_STATE = schema.update_state
_RESULT = schema.update_result
_NOTICE = schema.update_notice
_NEW_RESULT = upsert(_RESULT).on_conflict_do_nothing()
MOST_HISTORY = 2000
"""Results that are kept of one machine, whatever it says."""
_LONGEST = 1000
"""Characters of a text of a result."""
_WITHOUT_OLDEST = delete(_RESULT).where(
    _RESULT.c.hardware == bindparam("hardware"),
    _RESULT.c.sequence
    <= select(_RESULT.c.sequence)
    .where(_RESULT.c.hardware == bindparam("hardware"))
    .order_by(_RESULT.c.sequence.desc())
    .limit(1)
    .offset(MOST_HISTORY)
    .scalar_subquery(),
)


class UpdateRecords:
    """Records and returns what machines say of their updates."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, machine: CompiledMachine, report: UpdateReport, at: datetime) -> None:
        """Keep what a machine says; said again, nothing changes but the time."""
        hardware, results = machine.hardware_identity, tuple(map(_bounded, report.results))
        values = {
            "identities": " ".join(machine.hardware_identities),
            "machine": machine.name,
            "at": at,
            "boot_id": report.boot_id,
            "policy": report.policy,
            "orders": report.orders,
            "phase": report.phase,
            "why": report.why,
            "code": report.code,
            "since": _time(report.since),
            "run": report.run,
            "checked": _time(report.checked),
            "next_check": _time(report.next_check),
            "results": _packed(results),
        }
        rows = [
            {
                "hardware": hardware,
                "machine": machine.name,
                "at": at,
                "run": report.run,
                "package": each.name,
                "state": f"{each.state}{' reboot' if each.reboot else ''}",
                "result": encode(each).decode(),
            }
            for each in results
        ]
        others = [each for each in machine.hardware_identities if each != hardware]
        with self._database.writing() as connection:
            connection.execute(delete(_STATE).where(_STATE.c.hardware.in_(others)))
            connection.execute(
                upsert(_STATE)
                .values(hardware=hardware, **values)
                .on_conflict_do_update(index_elements=["hardware"], set_=values)
            )
            if rows:
                connection.execute(_NEW_RESULT, rows)
                connection.execute(_WITHOUT_OLDEST, {"hardware": hardware})

    def all(self, fleet: FleetHardware) -> Mapping[str, UpdateStatus]:
        """Return what the machines of a fleet said last, by their names now."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_STATE).order_by(_STATE.c.at)).all()
        found: dict[str, UpdateStatus] = {}
        read: dict[str, tuple[PackageResult, ...]] = {}
        for row in rows:
            identities = tuple(row.identities.split(" "))
            owner = fleet.owner(identities)
            if owner is None:
                continue
            if row.results not in read:  # what is there already is there alike on most machines
                read[row.results] = readable_results(json.loads(row.results))
            values = {**row._mapping, "identities": identities, "results": read[row.results]}  # noqa: SLF001 - SQLAlchemy's public name of it
            found[owner] = UpdateStatus(**values)  # the newest of its hardware
        return found

    def history(self, machine: CompiledMachine, most: int) -> tuple[UpdateResult, ...]:
        """Return what became of packages on a machine, the newest first."""
        query = (
            select(_RESULT.c.machine, _RESULT.c.at, _RESULT.c.run, _RESULT.c.result)
            .where(_RESULT.c.hardware.in_(machine.hardware_identities))
            .order_by(_RESULT.c.sequence.desc())
            .limit(most)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(
            UpdateResult(row.machine, row.at, row.run, result)
            for row in rows
            for result in readable_results([json.loads(row.result)])
        )

    def prune(self, before: datetime) -> None:
        """Forget results from before a moment."""
        with self._database.writing() as connection:
            connection.execute(delete(_RESULT).where(_RESULT.c.at < before))

    # --- requests of persons -------------------------------------------------------

    def notify(
        self, machines: Iterable[CompiledMachine], at: datetime, actor: str, reason: str
    ) -> None:
        """Keep that a person asks machines to look now what is missing."""
        rows = [
            {
                "hardware": each.hardware_identity,
                "identities": " ".join(each.hardware_identities),
                "machine": each.name,
                "at": at,
                "actor": actor,
                "reason": reason,
            }
            for each in machines
        ]
        statement = upsert(_NOTICE)
        changed = {
            name: statement.excluded[name]
            for name in ("identities", "machine", "at", "actor", "reason")
        }
        with self._database.writing() as connection:
            if rows:
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["hardware"], set_=changed), rows
                )

    def notices(self) -> tuple[UpdateNotice, ...]:
        """Return the last request to each machine, the newest last."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_NOTICE).order_by(_NOTICE.c.at)).all()
        return tuple(
            UpdateNotice(
                tuple(row.identities.split(" ")), row.machine, row.at, row.actor, row.reason
            )
            for row in rows
        )


def _bounded(result: PackageResult) -> PackageResult:
    """Return a result whose texts have an end; a package of ours has no longer ones."""
    return evolve(
        result,
        name=result.name[:_LONGEST],
        code=result.code[:_LONGEST],
        cause=result.cause[:_LONGEST],
        action=result.action[:_LONGEST],
        output=result.output[-_LONGEST:],
        version_before=result.version_before[:_LONGEST],
        version_after=result.version_after[:_LONGEST],
    )


def _time(seconds: int) -> datetime | None:
    """Return a time of an agent; None for none, or for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, OSError, ValueError):
        return None


def _packed(results: Iterable[PackageResult]) -> str:
    return json.dumps([json.loads(encode(each)) for each in results], ensure_ascii=False)
