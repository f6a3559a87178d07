"""Boot requests: the timeline of each MAC, its last boot, and machines that no document has.

Anybody can send boot requests, thousands a second, and each has to be answered at once.
They are therefore recorded in memory and written together, a few times a second; whoever
decides on one machine writes its own first. What is kept is bounded, in memory and on disk.
"""

from collections import deque
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from providers.netboot.decision import BootRequest
from reconciler.state import schema
from reconciler.state.database import Database
from reconciler.state.observed import Sighting

EVENTS_PER_MAC = 200
"""Boot events kept per MAC: a network boot makes about twenty, so that the last ten stay."""
UNKNOWN_MACS = 1000
"""MACs kept that no machine of the fleet has: a room of new machines that is switched on at
once, and no more than somebody who sends made-up ones may make us keep."""
WAITING = 10_000
"""Requests that may wait to be written; of more, the oldest are lost, and counted."""
AT_ONCE = 100
"""Requests written in one transaction: it holds up the event loop for some milliseconds."""


@frozen
class BootEvent:
    """One line of a machine's boot timeline."""

    mac: str
    route: str
    source: str
    detail: str
    answer: str
    at: datetime


@dataclass(slots=True)
class Recorded:
    """A request that was taken in; ``answer`` is None until ``Boots.answered`` says what it is."""

    request: BootRequest
    at: datetime
    known: bool
    answer: str | None
    sequence: int = 0
    """The event's number once it is written without an answer."""


class Boots:
    """Boot requests on the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Recorded] = deque()
        self._answers: list[Recorded] = []
        """Written requests whose answer came later and is not written yet."""
        self.lost = 0
        """Requests that were not written because too many waited."""

    def record(
        self, request: BootRequest, at: datetime, *, known: bool, answer: str | None = ""
    ) -> Recorded:
        """Take in a request, and what was answered; None if that is decided later.

        ``known`` says that a machine of the fleet has the MAC.
        """
        recorded = Recorded(request, at, known, answer)
        self._waiting.append(recorded)
        if len(self._waiting) > WAITING:
            self._waiting.popleft()
            self.lost += 1
        return recorded

    def answered(self, recorded: Recorded, answer: str) -> None:
        """Complete a request that was taken in without an answer."""
        recorded.answer = answer
        if recorded.sequence:
            self._answers.append(recorded)

    @property
    def waiting(self) -> int:
        """Return how many requests, and answers to written ones, are not written yet."""
        return len(self._waiting) + len(self._answers)

    def write(self, most: int = AT_ONCE) -> None:
        """Write the oldest requests that wait; StateError leaves them waiting."""
        self._write(list(islice(self._waiting, most)))

    def write_of(self, macs: Collection[str]) -> None:
        """Write the requests of these MACs; all others go on waiting."""
        self._write([each for each in self._waiting if each.request.mac in macs])

    def write_all(self) -> None:
        """Write everything that waits."""
        while self.waiting:
            self.write()

    def _write(self, batch: Sequence[Recorded]) -> None:
        if not batch and not self._answers:
            return
        with self._database.writing() as connection:
            _write_answers(connection, self._answers)
            _write_events(connection, batch)
            _remember_clients(connection, batch)
            for mac in {each.request.mac for each in batch}:
                _cut_timeline(connection, mac)
            if not all(each.known for each in batch):
                _cut_unknown(connection)
        self._answers.clear()
        written = {id(each) for each in batch}
        self._waiting = deque(each for each in self._waiting if id(each) not in written)

    def timeline(self, macs: Iterable[str], limit: int) -> tuple[BootEvent, ...]:
        """Return the newest ``limit`` boot events of these MACs, oldest first."""
        table = schema.boot_event
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table)
                .where(table.c.mac.in_(list(macs)))
                .order_by(table.c.sequence.desc())
                .limit(limit)
            ).all()
        return tuple(
            BootEvent(row.mac, row.route, row.source, row.detail, row.answer, row.at)
            for row in reversed(rows)
        )

    def first_request(
        self, macs: Iterable[str], after: datetime, until: datetime
    ) -> datetime | None:
        """Return when the firmware of one of these MACs asked first between two times."""
        table = schema.boot_event
        query = select(func.min(table.c.at)).where(
            table.c.mac.in_(list(macs)),
            table.c.firmware_boot,
            table.c.at > after,
            table.c.at <= until,
        )
        with self._database.reading() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found

    def sightings(self, known: Container[str]) -> tuple[Sighting, ...]:
        """Return one sighting for each MAC that is none of ``known``, the newest first."""
        event, client = schema.boot_event, schema.boot_client
        columns = (event.c.mac, event.c.uuid, event.c.source, event.c.relay, event.c.at)
        found: list[tuple[int, Sighting]] = []
        with self._database.reading() as connection:
            asked = connection.execute(select(client.c.mac).where(client.c.boot_at.is_not(None)))
            unknown = [mac for mac in asked.scalars() if mac and mac not in known]
            for mac in unknown:
                rows = connection.execute(
                    select(event.c.sequence, *columns)
                    .where(event.c.mac == mac, event.c.firmware_boot)
                    .order_by(event.c.sequence.desc())
                ).all()
                if rows:
                    found.append((rows[0].sequence, _sighting(rows)))
        return tuple(sighting for _, sighting in sorted(found, key=itemgetter(0), reverse=True))


def _sighting(rows: Sequence[Any]) -> Sighting:
    """Return what the requests of one MAC say, the newest first."""
    newest = rows[0]
    return Sighting(
        newest.mac,
        next((row.uuid for row in rows if row.uuid), ""),
        "" if newest.relay else newest.source,
        newest.at,
        next((row.relay for row in rows if row.relay is not None), ""),
    )


def _write_events(connection: Connection, batch: Iterable[Recorded]) -> None:
    table = schema.boot_event
    answered = []
    for each in batch:
        if each.answer is None:
            statement = insert(table).values(**_event(each)).returning(table.c.sequence)
            each.sequence = connection.execute(statement).scalar_one()
        else:
            answered.append(_event(each))
    if answered:
        connection.execute(insert(table), answered)


def _write_answers(connection: Connection, answers: Iterable[Recorded]) -> None:
    table = schema.boot_event
    for each in answers:
        query = update(table).where(table.c.sequence == each.sequence)
        connection.execute(query.values(answer=each.answer))


def _event(each: Recorded) -> dict[str, Any]:
    request = each.request
    return {
        "mac": request.mac,
        "uuid": request.uuid,
        "route": request.route,
        "firmware_boot": request.arch is not None,
        "source": request.source,
        "detail": request.detail,
        "answer": each.answer or "",
        "relay": request.relay,
        "at": each.at,
    }


def _remember_clients(connection: Connection, batch: Iterable[Recorded]) -> None:
    """Note of each MAC when it was heard last, and when its firmware asked for a boot last."""
    newest: dict[str, dict[str, Any]] = {}
    for each in batch:
        client = newest.setdefault(each.request.mac, {"mac": each.request.mac, "boot_at": None})
        client.update(known=each.known, heard_at=each.at)
        if each.request.arch is not None:
            client["boot_at"] = each.at
    for client in newest.values():
        changes = {name: value for name, value in client.items() if name != "mac"}
        if client["boot_at"] is None:
            del changes["boot_at"]
        connection.execute(
            upsert(schema.boot_client)
            .values(**client)
            .on_conflict_do_update(index_elements=["mac"], set_=changes)
        )


def _cut_timeline(connection: Connection, mac: str) -> None:
    table = schema.boot_event
    oldest = (
        select(table.c.sequence)
        .where(table.c.mac == mac)
        .order_by(table.c.sequence.desc())
        .limit(1)
        .offset(EVENTS_PER_MAC)
        .scalar_subquery()
    )
    connection.execute(delete(table).where(table.c.mac == mac, table.c.sequence <= oldest))


def _cut_unknown(connection: Connection) -> None:
    client, event = schema.boot_client, schema.boot_event
    oldest = (
        select(client.c.mac)
        .where(client.c.known.is_(False))
        .order_by(client.c.heard_at.desc(), client.c.mac)
        .offset(UNKNOWN_MACS)
    )
    gone = connection.execute(oldest).scalars().all()
    if gone:
        connection.execute(delete(event).where(event.c.mac.in_(gone)))
        connection.execute(delete(client).where(client.c.mac.in_(gone)))
