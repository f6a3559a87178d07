"""How a copy of an installed agent is told from the original: by a value that changes.

With the answer to a report the agent gets a value that it keeps on its disk and shows with the
next report. Once it has shown a value, the ones before are never shown by this agent again: who
shows one has a copy of its state, or its state was set back (a snapshot, a backup). ``judge`` is
pure. Cf. Landscape's exchange tokens.

What keeps it from crying wolf: an answer that got lost, or that the agent did not come to keep,
leaves it with the value that it has shown, and that is accepted until the next one was shown.
The first contradiction is a suspicion, told to people, and what the agent has counts from then
on: after a snapshot was restored, all is well again with the next reports. A copy beside its
original contradicts again at once: only that is called a copy.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from attrs import evolve, frozen
from sqlalchemy import delete, insert, select

from reconciler.state import schema
from reconciler.state.database import Database

ROTATION = timedelta(hours=1)
"""After which an agent gets another value, so that few reports write to two disks."""
CALM = 3
"""Values in a row that have to be shown as they were given before a suspicion is over."""
_TABLE = schema.agent_exchange
Verdict = Literal["", "suspected", "copied", "calm"]


@frozen
class Exchange:
    """What one installed agent has shown and been given."""

    confirmed: str
    """The last value that it has shown; empty where it has none yet."""
    offered: str
    """The value that it was given since and has not shown; empty where there is none."""
    since: datetime
    """When a value was given last."""
    boot_id: str
    """Of the boot whose report came last when a value was given."""
    suspicion: str = ""
    """Who contradicted, as a clause; empty without suspicion."""
    agreed: int = 0
    """Values shown as they were given, since the contradiction."""


class Shown(NamedTuple):
    """What a report says of its agent."""

    value: str
    boot_id: str
    whence: str = ""
    """Boot and address, as a clause for people."""


class Judgement(NamedTuple):
    """What follows from a report. ``exchange`` is None where nothing is to be written."""

    answer: str
    """The value that the agent is to keep."""
    exchange: Exchange | None
    verdict: Verdict = ""
    others: str = ""
    """Of a copy: who contradicted first, as a clause."""


def judge(known: Exchange | None, shown: Shown, now: datetime, fresh: str) -> Judgement:
    """Return what to answer; ``fresh`` is a value that was never used."""
    if known is None:
        return Judgement(fresh, Exchange(shown.value, fresh, now, shown.boot_id))
    if shown.value not in {known.confirmed, known.offered}:
        return _contradiction(known, shown, now, fresh)
    if known.offered and shown.value == known.offered:
        return _confirmation(known, shown, now, fresh)
    if not shown.value and known.offered and now - known.since < ROTATION:
        # An agent that keeps no value: an older version, or one whose disk is full.
        return Judgement(known.offered, None)
    is_due = (
        bool(known.offered)
        or shown.boot_id != known.boot_id
        or not timedelta() <= now - known.since < ROTATION
        or bool(known.suspicion)
    )
    if not is_due:
        return Judgement(known.confirmed, None)
    # Another value each time: of two agents that show the same one, only one gets to show it.
    given = evolve(known, offered=fresh, since=now, boot_id=shown.boot_id)
    return Judgement(fresh, given)


def _contradiction(known: Exchange, shown: Shown, now: datetime, fresh: str) -> Judgement:
    taken = Exchange(shown.value, fresh, now, shown.boot_id, shown.whence)
    if known.suspicion:
        return Judgement(fresh, taken, "copied", known.suspicion)
    return Judgement(fresh, taken, "suspected")


def _confirmation(known: Exchange, shown: Shown, now: datetime, fresh: str) -> Judgement:
    confirmed = evolve(known, confirmed=shown.value, offered="", boot_id=shown.boot_id)
    if not known.suspicion:
        return Judgement(shown.value, confirmed)
    if known.agreed + 1 >= CALM:
        return Judgement(shown.value, evolve(confirmed, suspicion="", agreed=0), "calm")
    agreed = evolve(confirmed, offered=fresh, since=now, agreed=known.agreed + 1)
    return Judgement(fresh, agreed)


class Exchanges:
    """The values of all installed agents, by the name of their certificate."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, machine: str) -> Exchange | None:
        """Return what an agent has shown and been given; None before its first report."""
        with self._database.reading() as connection:
            row = connection.execute(select(_TABLE).where(_TABLE.c.machine == machine)).first()
        if row is None:
            return None
        return Exchange(
            row.confirmed, row.offered, row.since, row.boot_id, row.suspicion, row.agreed
        )

    def keep(self, machine: str, exchange: Exchange) -> None:
        """Keep it, in place of what was known."""
        values = {
            "machine": machine,
            "confirmed": exchange.confirmed,
            "offered": exchange.offered,
            "since": exchange.since,
            "boot_id": exchange.boot_id,
            "suspicion": exchange.suspicion,
            "agreed": exchange.agreed,
        }
        with self._database.writing() as connection:
            connection.execute(insert(_TABLE).prefix_with("OR REPLACE").values(values))

    def forget(self, machine: str) -> None:
        """Begin anew: the agent of a newly installed system has no value."""
        if self.find(machine) is not None:
            with self._database.writing() as connection:
                connection.execute(delete(_TABLE).where(_TABLE.c.machine == machine))
